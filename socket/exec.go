package socket

import (
	"context"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"relayd/lifetime/process"
)

// An execTransport is a program: one end of a socket pair, whose other end is
// the program's standard input and output. The process stands above the socket
// in the tree and is held by it alone: it ends with the socket.
type execTransport struct {
	*kernelTransport
	p       *process.Process
	addr    kindAddr
	drained chan struct{} // closed when the conversation is over
	once    sync.Once
}

// openExec starts a program and makes a socket of it.
func openExec(ctx context.Context, a Address, at At) (*Socket, error) {
	s, err := a.settings(anyUse)
	if err != nil {
		return nil, err
	}
	k, theirs, err := pairTransport()
	if err != nil {
		return nil, err
	}
	t := &execTransport{kernelTransport: k, addr: kindAddr{a.place()}, drained: make(chan struct{})}
	t.p, err = process.Start(ctx, process.Command{
		Path: a.Path, Args: s.args,
		Stdin: theirs, Stdout: theirs, Stderr: at.Stderr,
		Grace: s.grace, Drained: t.drained,
	}, at.Parent)
	theirs.Close()
	if err != nil {
		k.Close()
		return nil, err
	}
	at.Parent = t.p.Resource()
	opened, err := open(t, at)
	t.p.Resource().BeginDrop() // the socket holds it
	return opened, err
}

// pairTransport returns a transport and the descriptor at its other end.
func pairTransport() (*kernelTransport, *os.File, error) {
	pair, err := streamPair()
	if err != nil {
		return nil, nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "program"), os.NewFile(uintptr(pair[1]), "program")
	defer ours.Close()
	c, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	t, err := newKernelTransport(c)
	if err != nil {
		theirs.Close()
	}
	return t, theirs, err
}

// checkProgram reports whether there is something to start at path.
func checkProgram(path string) error {
	_, err := exec.LookPath(path)
	if e, ok := err.(*exec.Error); ok {
		err = e.Err
	}
	if e, ok := err.(*fs.PathError); ok {
		err = e.Err
	}
	return err
}

// Read reads what the program writes. A program need not read all that it is
// given: that it has ended before is an end. How it has ended is in the
// socket's end.
func (t *execTransport) Read(p []byte) (int, error) {
	n, err := t.kernelTransport.Read(p)
	if n == 0 && isErrno(err, syscall.ECONNRESET) {
		err = io.EOF
	}
	return n, err
}

func isErrno(err error, want syscall.Errno) bool {
	return err != nil && reason(err) == want
}

// disconnect kills the program and all of its group.
func (t *execTransport) disconnect() {
	t.p.Kill()
	t.kernelTransport.disconnect()
}

// Close closes our end. The program has the time to end that it is given.
func (t *execTransport) Close() error {
	t.over()
	return t.kernelTransport.Close()
}

// over says that nobody talks to the program any more.
func (t *execTransport) over() { t.once.Do(t.closeDrained) }

func (t *execTransport) closeDrained() { close(t.drained) }

// conclude is the last part of a drain: it waits for the program's end.
func (t *execTransport) conclude(ctx context.Context) error {
	t.over()
	err := t.p.Wait(ctx)
	if ctx.Err() != nil {
		return nil // cut: whoever has cut it knows
	}
	return err
}

// await waits until the program was reaped, after a shutdown.
func (t *execTransport) await(ctx context.Context) (KernelState, string) {
	select {
	case <-t.p.Resource().Done():
		return Gone, ""
	case <-ctx.Done():
		return Unverified, "the program has not ended"
	}
}

func (t *execTransport) LocalAddr() net.Addr  { return kindAddr{} }
func (t *execTransport) RemoteAddr() net.Addr { return t.addr }
