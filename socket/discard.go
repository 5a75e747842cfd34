package socket

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// A discarder reads and throws away, in the kernel where it can.
type discarder struct {
	t   transport
	n   int
	err error
}

// next waits for bytes, and returns how many there were.
func (d *discarder) next() (int, error) {
	k, ok := d.t.(*kernelTransport)
	if t, isTLS := d.t.(*tlsTransport); isTLS && !t.up.Load() {
		k, ok = t.kernelTransport, true // what there is will never be decrypted
	}
	if !ok {
		b := buffers.get()
		defer buffers.put(b)
		return d.t.Read(b[:])
	}
	p, err := k.park()
	if err != nil {
		return 0, err
	}
	recv := d.read
	if k.tcp {
		recv = d.truncate
	}
	if err := p.raw.Read(recv); err != nil {
		return 0, err
	}
	if d.n == 0 && d.err == nil {
		return 0, io.EOF
	}
	return d.n, d.err
}

func (d *discarder) read(fd uintptr) bool     { return d.try(int(fd), unix.Read) }
func (d *discarder) truncate(fd uintptr) bool { return d.try(int(fd), discardTCP) }

func (d *discarder) try(fd int, recv func(int, []byte) (int, error)) bool {
	b := buffers.get()
	defer buffers.put(b)
	for {
		d.n, d.err = recv(fd, b[:])
		if d.err == syscall.EINTR {
			continue
		}
		d.n = max(d.n, 0)
		return d.err != syscall.EAGAIN
	}
}
