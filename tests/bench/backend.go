// A backend is where all the relays lead to.

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// A backend serves connections on one listener at a time.
type backend struct {
	listener *net.TCPListener
	handlers sync.WaitGroup // and the accepting goroutine

	mu    sync.Mutex
	conns map[*net.TCPConn]struct{} // nil: closed
}

// serveBackend is the backend's process. For each line on commands it drops what
// it has, listens at a new port, and writes the address: so a relay that leaves
// connections open is not in the way of the next one, nor are the ports that
// the kernel keeps in TIME_WAIT.
func serveBackend(commands io.Reader, addresses io.Writer) error {
	b := new(backend)
	defer b.close()
	for lines := bufio.NewScanner(commands); lines.Scan(); {
		b.close()
		if err := b.listen(); err != nil {
			return err
		}
		fmt.Fprintln(addresses, b.listener.Addr())
	}
	return nil
}

func (b *backend) listen() error {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	b.listener = l
	b.conns = make(map[*net.TCPConn]struct{})
	b.handlers.Go(b.accept)
	return nil
}

// close drops the listener and all connections, and waits for their handlers.
func (b *backend) close() {
	if b.listener == nil {
		return
	}
	b.listener.Close()
	b.mu.Lock()
	for c := range b.conns {
		c.Close()
	}
	b.conns = nil
	b.mu.Unlock()
	b.handlers.Wait()
}

func (b *backend) accept() {
	for {
		c, err := b.listener.AcceptTCP()
		if err != nil {
			return
		}
		b.mu.Lock()
		open := b.conns != nil
		if open {
			b.conns[c] = struct{}{}
		}
		b.mu.Unlock()
		if !open {
			c.Close()
			return
		}
		b.handlers.Go(func() { b.handle(c) })
	}
}

func (b *backend) handle(c *net.TCPConn) {
	serve(c) // how it went, the client says
	c.Close()
	b.mu.Lock()
	delete(b.conns, c)
	b.mu.Unlock()
}

// serve reads what a connection is for, and serves it.
func serve(c *net.TCPConn) error {
	c.SetDeadline(time.Now().Add(time.Minute))
	h, err := readHeader(c)
	if err != nil {
		return err
	}
	c.SetDeadline(time.Now().Add(h.patience))
	switch h.service {
	case answer:
		return serveAnswer(c, h)
	case sink:
		return serveSink(c, h)
	case source:
		return serveSource(c, h)
	}
	return fmt.Errorf("no service %d", h.service)
}

func serveAnswer(c *net.TCPConn, h header) error {
	up, down := upwards(), downwards()
	buf := make([]byte, min(h.size, window))
	for n := int64(0); ; n += int64(h.size) {
		err := up.read(c, buf, h.offset+n, h.size)
		if errors.Is(err, io.EOF) {
			if !h.report {
				return nil
			}
			return send(c, report{count: n})
		}
		if err != nil {
			return complain(c, h, err)
		}
		if err := down.write(c, h.offset+n, h.size); err != nil {
			return err
		}
	}
}

func serveSink(c *net.TCPConn, h header) error {
	if _, err := c.Write([]byte{hello}); err != nil {
		return err
	}
	up := upwards()
	buf := make([]byte, window)
	for n := int64(0); ; {
		got, err := c.Read(buf)
		if e := up.check(buf[:got], h.offset+n); e != nil {
			return complain(c, h, e)
		}
		n += int64(got)
		if errors.Is(err, io.EOF) {
			return send(c, report{count: n})
		}
		if err != nil {
			return err
		}
	}
}

// serveSource sends windows, and a report that is not as long as one.
func serveSource(c *net.TCPConn, h header) error {
	if _, err := c.Write([]byte{hello}); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		return err
	}
	down := downwards()
	end := time.Now().Add(h.duration)
	n := int64(0)
	for n == 0 || time.Now().Before(end) {
		if err := down.write(c, h.offset+n, window); err != nil {
			return err
		}
		n += window
	}
	return send(c, report{count: n})
}

func send(c *net.TCPConn, r report) error {
	_, err := c.Write(r.append(nil))
	return err
}

// complain tells the client which byte came in wrong. What else it sends is
// read, as a reset could overtake the report.
func complain(c *net.TCPConn, h header, err error) error {
	var corrupt *corruptError
	if !errors.As(err, &corrupt) {
		return err
	}
	if err := send(c, report{bad: corrupt.pos - h.offset + 1}); err != nil {
		return err
	}
	if err := c.CloseWrite(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, c)
	return errors.Join(corrupt, err)
}
