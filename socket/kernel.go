package socket

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A kernelTransport is a connection of the system's. There are two ways to wait
// for one, and it is in one of them at a time:
//
//	parked   on the runtime's poller: whoever reads or writes is a goroutine
//	loose    a bare descriptor, which an event loop may watch; see flow
//
// An operation that waits parks it; a loop that is given it takes it back. The
// kernel's connection is the same all the time, and the halves and the socket
// above it do not know the difference.
//
// Who is inside an operation of a half keeps the descriptor open, because the
// socket is not released before. Whoever is not (a shutdown, a snapshot) goes
// through control.
type kernelTransport struct {
	parked          atomic.Pointer[parked] // nil while loose
	mu              sync.Mutex             // guards the way of waiting, and what follows
	fd              int32                  // while loose; -1 when closed
	tcp             bool
	noRead, noWrite bool // interrupted
	cell
}

// A netConn is what *net.TCPConn and *net.UnixConn have in common.
type netConn interface {
	net.Conn
	syscall.Conn
	CloseRead() error
	CloseWrite() error
}

// A parked connection is on the runtime's poller. The runtime's lock of the
// descriptor guards its number: whoever is inside raw has it, and nobody else
// closes it.
type parked struct {
	netConn
	raw       syscall.RawConn
	deadlines deadlines

	// A question about the descriptor, and its answer: here, so that asking,
	// which a chain does for each message, allocates nothing.
	question func(fd int) int
	answer   int
	ask      func(fd uintptr) // p.reply
}

func (p *parked) reply(fd uintptr) { p.answer = p.question(int(fd)) }

func newParked(c netConn) (*parked, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		c.Close()
		return nil, err
	}
	p := &parked{netConn: c, raw: raw}
	p.ask = p.reply
	return p, nil
}

// newKernelTransport makes one of a connection of package net's, which is
// parked already.
func newKernelTransport(c net.Conn) (*kernelTransport, error) {
	nc, ok := c.(netConn)
	if !ok {
		c.Close()
		return nil, syscall.ESOCKTNOSUPPORT
	}
	p, err := newParked(nc)
	if err != nil {
		return nil, err
	}
	_, tcp := c.(*net.TCPConn)
	t := &kernelTransport{tcp: tcp, fd: -1}
	t.parked.Store(p)
	return t, nil
}

// loosen makes t, which is zero, of a bare descriptor that does not block.
func (t *kernelTransport) loosen(fd int, tcp bool) { t.fd, t.tcp = int32(fd), tcp }

// park puts the connection on the runtime's poller, if it is not there.
func (t *kernelTransport) park() (*parked, error) {
	if p := t.parked.Load(); p != nil {
		return p, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.parked.Load(); p != nil {
		return p, nil
	}
	if t.fd < 0 {
		return nil, net.ErrClosed
	}
	if err := t.leaveLoop(); err != nil {
		return nil, err
	}
	p, err := newParked(fileConn{os.NewFile(uintptr(t.fd), "socket")})
	if err != nil {
		return nil, err
	}
	if t.noRead {
		p.interruptRead()
	}
	if t.noWrite {
		p.interruptWrite()
	}
	t.fd = -1
	t.parked.Store(p)
	return p, nil
}

// unpark takes the connection off the runtime's poller. Nobody waits there. The
// runtime lets go of no descriptor, so this is another one of the same
// connection, and closing the runtime's ends nothing.
func (t *kernelTransport) unpark() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.parked.Load()
	if p == nil {
		if t.fd < 0 {
			return net.ErrClosed
		}
		return nil
	}
	copied, err := -1, error(nil)
	cerr := p.raw.Control(func(fd uintptr) { copied, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3) })
	if err == nil {
		err = cerr
	}
	if err != nil {
		return reason(err)
	}
	t.fd = int32(copied)
	t.parked.Store(nil)
	return p.Close()
}

// control calls f with the descriptor, unless it is closed. f does not wait.
func (t *kernelTransport) control(f func(fd int)) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.parked.Load(); p != nil {
		return p.raw.Control(func(fd uintptr) { f(int(fd)) }) == nil
	}
	if t.fd >= 0 {
		f(int(t.fd))
	}
	return t.fd >= 0
}

func (t *kernelTransport) Read(b []byte) (int, error) {
	p, err := t.park()
	if err != nil {
		return 0, err
	}
	return p.Read(b)
}

func (t *kernelTransport) Write(b []byte) (int, error) {
	p, err := t.park()
	if err != nil {
		return 0, err
	}
	return p.Write(b)
}

// Close closes the descriptor. No operation is inside.
func (t *kernelTransport) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slot != 0 { // it was to be copied, and nobody has begun
		t.loop.Load().post(t)
	}
	t.joined = false // the registration ends with the descriptor
	t.count(nil)
	if p := t.parked.Load(); p != nil {
		return p.Close()
	}
	fd := t.fd
	if fd < 0 {
		return net.ErrClosed
	}
	t.fd = -1
	return unix.Close(int(fd))
}

func (t *kernelTransport) CloseRead() error  { return t.shut(unix.SHUT_RD) }
func (t *kernelTransport) CloseWrite() error { return t.shut(unix.SHUT_WR) }

func (t *kernelTransport) shut(how int) error {
	err := net.ErrClosed
	t.control(func(fd int) { err = unix.Shutdown(fd, how) })
	return err
}

// SetReadDeadline and SetWriteDeadline are the user's; see deadlines.

func (t *kernelTransport) SetReadDeadline(d time.Time) error {
	p, err := t.park()
	if err != nil {
		return err
	}
	return p.deadlines.set(&p.deadlines.read, p.netConn.SetReadDeadline, d)
}

func (t *kernelTransport) SetWriteDeadline(d time.Time) error {
	p, err := t.park()
	if err != nil {
		return err
	}
	return p.deadlines.set(&p.deadlines.write, p.netConn.SetWriteDeadline, d)
}

func (p *parked) interruptRead() {
	p.deadlines.expire(&p.deadlines.read, p.netConn.SetReadDeadline)
}

func (p *parked) interruptWrite() {
	p.deadlines.expire(&p.deadlines.write, p.netConn.SetWriteDeadline)
}

func (t *kernelTransport) interruptRead() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noRead = true
	if p := t.parked.Load(); p != nil {
		p.interruptRead()
	} else {
		t.poke()
	}
}

func (t *kernelTransport) resumeRead() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noRead = false
	if p := t.parked.Load(); p != nil {
		p.deadlines.resume(&p.deadlines.read, p.netConn.SetReadDeadline)
	}
}

func (t *kernelTransport) interruptWrite() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noWrite = true
	if p := t.parked.Load(); p != nil {
		p.interruptWrite()
	} else {
		t.poke()
	}
}

func (t *kernelTransport) resumeWrite() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noWrite = false
	if p := t.parked.Load(); p != nil {
		p.deadlines.resume(&p.deadlines.write, p.netConn.SetWriteDeadline)
	}
}

func (t *kernelTransport) drains() bool { return true }

// disconnect ends the connection through every copy of the descriptor, in this
// process and in others: TCP with a reset, a Unix socket with an end.
func (t *kernelTransport) disconnect() {
	t.control(func(fd int) {
		if !t.tcp {
			unix.Shutdown(fd, unix.SHUT_RDWR)
		} else if disconnectTCP(fd) != 0 {
			// Second best: close(2) of the last copy will reset.
			unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		}
	})
}

// ready asks the kernel whether anything has arrived.
func (t *kernelTransport) ready() bool { return t.ask(unreadOf) > 0 }

// unsent returns how many bytes were written and not acknowledged; 0 where the
// system cannot tell.
func (t *kernelTransport) unsent() int { return t.ask(unsentOf) }

// ask returns a number that the kernel knows of the descriptor; 0 when it is
// closed.
func (t *kernelTransport) ask(question func(fd int) int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.parked.Load()
	switch {
	case p != nil:
		p.question, p.answer = question, 0
		p.raw.Control(p.ask)
		return p.answer
	case t.fd >= 0:
		return question(int(t.fd))
	}
	return 0
}

// vanished reports whether the kernel has no connection any more, although
// nobody here has closed it: it was reset.
func (t *kernelTransport) vanished() (gone bool) {
	if t.tcp {
		t.control(func(fd int) { gone = closedTCP(fd) })
	}
	return gone
}

func (t *kernelTransport) LocalAddr() net.Addr {
	return t.addressOf((*parked).LocalAddr, unix.Getsockname)
}

func (t *kernelTransport) RemoteAddr() net.Addr {
	return t.addressOf((*parked).RemoteAddr, unix.Getpeername)
}

// addressOf is the address that package net has, or else the kernel: a connection
// that is taken off the runtime's poller meanwhile is open on.
func (t *kernelTransport) addressOf(of func(*parked) net.Addr, get func(fd int) (unix.Sockaddr, error)) net.Addr {
	if p := t.parked.Load(); p != nil {
		if a := of(p); a.String() != "" || t.parked.Load() == p {
			return a
		}
	}
	return t.address(get)
}

// address asks the kernel. Nobody keeps the addresses of a loose connection, so
// they are "" after the close, and the peer's is after a reset.
func (t *kernelTransport) address(get func(fd int) (unix.Sockaddr, error)) net.Addr {
	var sa unix.Sockaddr
	t.control(func(fd int) { sa, _ = get(fd) })
	return netAddr(sa)
}
