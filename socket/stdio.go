package socket

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A stdioTransport is standard input and output as one connection. They may be
// anything: pipes, terminals, files. Others share them, a shell for one, and
// would see it if they were made non-blocking; so they are waited for with
// poll(2), and written in pieces that do not block after that.
type stdioTransport struct {
	in, out stdioHalf
	ended   atomic.Bool // a terminal tells its end once
	writing sync.Mutex  // held through a Write of many pieces: others queue
}

// A stdioHalf is one of the two.
type stdioHalf struct {
	f     *os.File // guards the number: it is closed after the last call has left
	raw   syscall.RawConn
	piece int  // how much may be written at once
	sock  bool // a socket: its FIN reaches copies of the descriptor
	// wake is a pipe: a byte in it ends the waiting until it is calmed, and the
	// close of its writer for good.
	wake, wakeUp *os.File
	wakeRaw      syscall.RawConn
}

var (
	errStdioTaken = errors.New("standard input and output are in use: they can be dialled or listened on once")
	stdio         sync.Once
)

// newStdio takes standard input and output. Whatever else the process writes
// there, from then on, goes to /dev/null: the stream is the socket's alone.
func newStdio() (t transport, err error) {
	err = errStdioTaken
	stdio.Do(func() { t, err = takeStdio() })
	return t, err
}

func takeStdio() (transport, error) {
	var halves [2]int
	for i := range halves {
		n, err := unix.FcntlInt(uintptr(i), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			if i == 1 {
				unix.Close(halves[0])
			}
			return nil, fmt.Errorf("descriptor %d: %w", i, err)
		}
		halves[i] = n
	}
	if null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0); err == nil {
		for i := range halves {
			replaceFD(int(null.Fd()), i)
		}
		null.Close()
	}
	return stdioOf(halves[0], halves[1])
}

// stdioOf makes a transport of two descriptors, which it owns, also when it
// fails. If they are one connection, as inetd passes it, that is the transport.
func stdioOf(in, out int) (transport, error) {
	fin, fout := os.NewFile(uintptr(in), "stdin"), os.NewFile(uintptr(out), "stdout")
	if sameConnection(fin, fout) {
		defer fin.Close()
		defer fout.Close()
		if c, err := net.FileConn(fin); err == nil {
			return newKernelTransport(c)
		}
	}
	fin = reopenTerminal(fin)
	t := &stdioTransport{}
	err := t.in.open(fin)
	if err == nil {
		err = t.out.open(fout)
	}
	if err != nil {
		fin.Close()
		fout.Close()
		t.in.shut()
		t.out.shut()
		return nil, err
	}
	return t, nil
}

// sameConnection reports whether two files are one connected socket.
func sameConnection(a, b *os.File) bool {
	ia, erra := a.Stat()
	ib, errb := b.Stat()
	if erra != nil || errb != nil || ia.Mode().Type() != os.ModeSocket || !os.SameFile(ia, ib) {
		return false
	}
	listens, err := inspectFD(int(a.Fd()), true)
	return err == nil && !listens
}

func (h *stdioHalf) open(f *os.File) (err error) {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h.piece = bufferSize
	switch info.Mode().Type() {
	case os.ModeNamedPipe:
		h.piece = pipeBuf
	case os.ModeSocket:
		h.sock = true
	case os.ModeDevice | os.ModeCharDevice:
		h.piece = terminalBuf
	}
	if h.raw, err = f.SyscallConn(); err != nil {
		return err
	}
	if h.wake, h.wakeUp, err = os.Pipe(); err != nil {
		return err
	}
	if h.wakeRaw, err = h.wake.SyscallConn(); err != nil {
		return err
	}
	h.f = f
	return nil
}

// terminalBuf is how much a terminal takes that poll(2) calls writable.
const terminalBuf = 256

// reopenTerminal returns the terminal f as an open file of its own, in place of f,
// so that it can be non-blocking and those that share f do not notice.
// What poll(2) has seen there may be gone at the read(2): the interrupt key flushes
// the input. If it cannot be opened (it belongs to another user, or there is no
// /proc) f is what there is, and in that moment a read cannot be woken.
func reopenTerminal(f *os.File) *os.File {
	if _, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err != nil {
		return f
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return f
	}
	f.Close()
	return os.NewFile(uintptr(fd), f.Name())
}

// interrupt ends waiting, now and later.
func (h *stdioHalf) interrupt() { h.wakeUp.Close() }

// rouse ends waiting until calm.
func (h *stdioHalf) rouse() { h.wakeUp.Write([]byte{0}) }

func (h *stdioHalf) calm() {
	h.wakeRaw.Read(func(fd uintptr) bool {
		for {
			n, err := unix.Read(int(fd), make([]byte, 8))
			if err != unix.EINTR && n <= 0 {
				return true
			}
		}
	})
}

// shut closes the descriptor, after whoever is inside has left.
func (h *stdioHalf) shut() {
	if h.wakeUp != nil {
		h.wakeUp.Close()
	}
	if h.f != nil {
		h.f.Close()
	}
	if h.wake != nil {
		h.wake.Close()
	}
}

// do calls try with the descriptor when it is ready for events, until try does
// not return EAGAIN, or returns an error if it was interrupted or closed.
func (h *stdioHalf) do(write bool, events int16, try func(fd int) (int, error)) (n int, err error) {
	inside := func(fd uintptr) bool {
		cerr := h.wakeRaw.Control(func(wake uintptr) {
			for {
				if err = waitFD(int(fd), int(wake), events); err != nil {
					return
				}
				if n, err = try(int(fd)); err != unix.EAGAIN && err != unix.EINTR {
					return
				}
			}
		})
		if cerr != nil {
			err = cerr
		}
		return true // never by the runtime's poller
	}
	enter := h.raw.Read
	if write {
		enter = h.raw.Write
	}
	if cerr := enter(inside); cerr != nil {
		return 0, net.ErrClosed
	}
	return max(n, 0), err
}

// waitFD waits until fd is ready, or returns os.ErrDeadlineExceeded when wake
// is.
func waitFD(fd, wake int, events int16) error {
	for {
		fds := [...]unix.PollFd{{Fd: int32(fd), Events: events}, {Fd: int32(wake), Events: unix.POLLIN}}
		_, err := unix.Poll(fds[:], -1)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case fds[1].Revents != 0:
			return os.ErrDeadlineExceeded
		case fds[0].Revents != 0:
			return nil
		}
	}
}

func (t *stdioTransport) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if t.ended.Load() {
		return 0, io.EOF
	}
	n, err := t.in.do(false, unix.POLLIN, func(fd int) (int, error) {
		if t.in.sock {
			n, _, err := unix.Recvfrom(fd, p, unix.MSG_DONTWAIT)
			return n, err
		}
		return unix.Read(fd, p)
	})
	if err == nil && n == 0 {
		t.ended.Store(true)
		err = io.EOF
	}
	return n, err
}

func (t *stdioTransport) Write(p []byte) (n int, err error) {
	t.writing.Lock()
	defer t.writing.Unlock()
	for n < len(p) {
		m, err := t.out.do(true, unix.POLLOUT, func(fd int) (int, error) {
			piece := p[n:min(len(p), n+t.out.piece)]
			if t.out.sock {
				return unix.SendmsgN(fd, piece, nil, nil, unix.MSG_DONTWAIT)
			}
			return unix.Write(fd, piece)
		})
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// CloseWrite closes standard output: there is no other end. A Write does not
// run any more.
func (t *stdioTransport) CloseWrite() error {
	if t.out.sock {
		t.out.raw.Control(func(fd uintptr) { unix.Shutdown(int(fd), unix.SHUT_WR) })
	}
	t.out.shut()
	return nil
}

// Close closes both.
func (t *stdioTransport) Close() error {
	t.in.shut()
	t.out.shut()
	return nil
}

func (t *stdioTransport) CloseRead() error { return nil }
func (t *stdioTransport) interruptRead()   { t.in.rouse() }
func (t *stdioTransport) resumeRead()      { t.in.calm() }
func (t *stdioTransport) interruptWrite()  { t.out.interrupt() }

// drains reports false: closing a pipe loses nothing.
func (t *stdioTransport) drains() bool   { return false }
func (t *stdioTransport) vanished() bool { return false }

// disconnect wakes everybody. Pipes and terminals know no reset.
func (t *stdioTransport) disconnect() {
	t.in.interrupt()
	t.out.interrupt()
}

func (t *stdioTransport) ready() (arrived bool) {
	t.in.raw.Control(func(fd uintptr) { arrived = unreadOf(int(fd)) > 0 })
	return arrived
}

// unsent: what was written is the other end's.
func (t *stdioTransport) unsent() int { return 0 }

func (t *stdioTransport) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (t *stdioTransport) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

func (t *stdioTransport) LocalAddr() net.Addr  { return kindAddr{} }
func (t *stdioTransport) RemoteAddr() net.Addr { return kindAddr{"stdio:"} }

// A kindAddr is the address of what has no other than how it is written.
type kindAddr struct{ place string }

// Network returns "pipe": it is neither a network nor a socket's.
func (kindAddr) Network() string  { return "pipe" }
func (a kindAddr) String() string { return a.place }
