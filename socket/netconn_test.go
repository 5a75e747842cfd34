package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"relayd/lifetime"
)

var (
	_ net.Conn  = (*Conn)(nil)
	_ net.Error = (*Error)(nil)
)

// The view is a net.Conn as package net knows it.
func TestConnIsANetConn(t *testing.T) {
	for name, text := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			n := 0
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				at := text
				if name == "unix" { // a file each: the last one may drain still
					n++
					at += string(rune('a' + n%26))
				}
				c1, c2, err := connPair(t, at)
				if err != nil {
					return nil, nil, nil, err
				}
				stop := func() {
					c1.Close()
					c2.Close()
					within(t, c1.s.node.Done(), "the release of one side")
					within(t, c2.s.node.Done(), "the release of the other")
				}
				return c1, c2, stop, nil
			})
		})
	}
}

// connPair returns both ends of a connection as views.
func connPair(t *testing.T, text string) (*Conn, *Conn, error) {
	l, err := Listen(t.Context(), address(t, text), nil)
	if err != nil {
		return nil, nil, err
	}
	defer l.Drop(t.Context())
	to := l.Addr()
	if l.tls != nil {
		to = address(t, "tls://"+to.address()+"?verify=insecure")
	}
	type dialled struct {
		s   *Socket
		err error
	}
	dials := make(chan dialled, 1) // its handshake wants the other end's
	go func() {
		s, err := Dial(t.Context(), to, At{})
		dials <- dialled{s, err}
	}()
	in, err := l.Accept()
	if err != nil {
		return nil, nil, err
	}
	far, err := in.Open(At{})
	if err != nil {
		return nil, nil, err
	}
	if _, err := far.Handshake(t.Context()); err != nil {
		return nil, nil, err
	}
	d := <-dials
	near, err := d.s, d.err
	if err != nil {
		return nil, nil, err
	}
	c1, err := NewConn(near)
	if err != nil {
		return nil, nil, err
	}
	c2, err := NewConn(far)
	return c1, c2, err
}

// nettest has no half-close: one end finishes, the answer comes back after it.
func TestConnHalfClose(t *testing.T) {
	for name, text := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			c1, c2, err := connPair(t, text)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(c1, "question")
			if err := c1.CloseWrite(); err != nil {
				t.Error(err)
			}
			if b, err := io.ReadAll(c2); string(b) != "question" || err != nil {
				t.Errorf("%q, %v", b, err)
			}
			io.WriteString(c2, "answer")
			c2.Close()
			if b, err := io.ReadAll(c1); string(b) != "answer" || err != nil {
				t.Errorf("%q, %v", b, err)
			}
			if _, err := c1.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Write after CloseWrite: %v", err)
			}
			c1.Close()
			if err := c1.Close(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("a second Close: %v", err)
			}
			within(t, c1.s.node.Done(), "the release of one side")
			within(t, c2.s.node.Done(), "the release of the other")
		})
	}
}

// A deadline for both directions is one for what is left of them.
func TestDeadlineAfterHalfClose(t *testing.T) {
	for name, text := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			c1, c2, err := connPair(t, text)
			if err != nil {
				t.Fatal(err)
			}
			c1.CloseRead()
			if err := c1.SetDeadline(past); err != nil {
				t.Errorf("of what is written: %v", err)
			}
			if n, err := c1.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Write after its deadline: %d, %v", n, err)
			}
			c2.CloseWrite()
			if err := c2.SetDeadline(past); err != nil {
				t.Errorf("of what is read: %v", err)
			}
			if n, err := c2.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Read after its deadline: %d, %v", n, err)
			}
			c1.Close()
			c2.Close()
			if err := c1.SetDeadline(past); !errors.Is(err, net.ErrClosed) {
				t.Errorf("of what is closed: %v", err)
			}
			within(t, c1.s.node.Done(), "the release of one side")
			within(t, c2.s.node.Done(), "the release of the other")
		})
	}
}

// A Write that the user's own deadline ends costs the stream nothing.
func TestDeadlineIsNoCut(t *testing.T) {
	c1, c2, err := connPair(t, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c1.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	n, err := c1.Write(make([]byte, tooMuch))
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Write: %d, %v", n, err)
	}
	c1.CloseWrite()
	if got, err := io.Copy(io.Discard, c2); got != int64(n) || err != nil {
		t.Errorf("%d of %d arrived: %v", got, n, err)
	}
	c2.Close()
	c1.Close()
	within(t, c1.s.node.Done(), "the release of one side")
	within(t, c2.s.node.Done(), "the release of the other")
}

func TestFromConn(t *testing.T) {
	t.Run("pipe", func(t *testing.T) { // a foreign kind, without half-close
		near, far := net.Pipe()
		s, err := FromConn(near, At{})
		if err != nil {
			t.Fatal(err)
		}
		r, w := halves(t, s)
		done := make(chan error)
		go func() {
			_, err := r.Read(make([]byte, 1))
			done <- err
		}()
		blocked(t, r.Resource())
		drop(t, r.Drop)
		if err := <-done; !errors.Is(err, lifetime.ErrDropped) {
			t.Errorf("the blocked Read returned %v", err)
		}
		go w.Write([]byte("x"))
		want(t, far, "x")
		report, err := s.Shutdown(t.Context(), errTest)
		if err != nil || report.Kernel != NoKernel {
			t.Errorf("%+v, %v", report, err)
		}
		if _, err := far.Read(make([]byte, 1)); err != io.EOF {
			t.Error(err)
		}
	})
	t.Run("tcp", func(t *testing.T) {
		c1, c2, err := connPair(t, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c1.Close()
		c2.Close()
		within(t, c1.s.node.Done(), "the release of one side")
		within(t, c2.s.node.Done(), "the release of the other")
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		plain, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		s, err := FromConn(plain, At{})
		if err != nil {
			t.Fatal(err)
		}
		if report, err := s.Shutdown(t.Context(), errTest); err != nil || report.Kernel != Gone {
			t.Errorf("%+v, %v", report, err)
		}
	})
}
