package chaos

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
)

// A wire is a connection as its player has it: of TCP or of a Unix socket, with
// TLS or without.
type wire struct {
	net.Conn // what is read and written
	raw      interface {
		net.Conn
		CloseWrite() error
		SetReadBuffer(int) error
	}
	tls *tls.Conn // or nil
}

// newWire returns c as a wire.
func newWire(c net.Conn) *wire {
	w := &wire{Conn: c}
	switch c := c.(type) {
	case *net.TCPConn:
		w.raw = c
	case *net.UnixConn:
		w.raw = c
	}
	return w
}

// CloseWrite ends the stream: with TLS by a close_notify and a FIN. It is ended by the
// first, also if the player is about to leave, and has closed the socket before the
// second.
func (w *wire) CloseWrite() error {
	if w.tls == nil {
		return w.raw.CloseWrite()
	}
	err := w.tls.CloseWrite()
	if err == nil {
		w.raw.CloseWrite()
	}
	return err
}

// leave closes with whatever is unread, and reports whether the system ends the
// stream with that, if nothing is. With TLS nobody but the peer can end it.
func (w *wire) leave() bool {
	w.raw.Close()
	return w.tls == nil
}

// reset closes with a reset, and reports whether that is an end of the stream all
// the same: a Unix socket has none.
func (w *wire) reset() bool {
	if c, ok := w.raw.(*net.TCPConn); ok {
		c.SetLinger(0)
	}
	w.raw.Close()
	return w.unix()
}

// vanish closes without a word, as far as there is a way, as reset does.
func (w *wire) vanish() bool {
	if c, ok := w.raw.(*net.TCPConn); ok {
		disappear(c)
		return false
	}
	return w.reset()
}

func (w *wire) unix() bool {
	_, ok := w.raw.(*net.UnixConn)
	return ok
}

// shakeClient does a client's handshake, and shakeServer a server's.
func (w *wire) shakeClient(certificate string, name string) error {
	text, err := os.ReadFile(certificate)
	if err != nil {
		return err
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(text)
	return w.shake(tls.Client(honest{w.Conn}, &tls.Config{RootCAs: trusted, ServerName: name}))
}

func (w *wire) shakeServer(certificate string) error {
	c, err := tls.LoadX509KeyPair(certificate, certificate)
	if err != nil {
		return err
	}
	return w.shake(tls.Server(honest{w.Conn}, &tls.Config{Certificates: []tls.Certificate{c}}))
}

func (w *wire) shake(c *tls.Conn) error {
	w.tls, w.Conn = c, c
	return c.Handshake()
}

// errBareFIN is the end of a TLS connection that is not the stream's.
var errBareFIN = errors.New("a FIN without close_notify")

// An honest connection does not let package tls take a FIN between two records for
// the end of the stream.
type honest struct{ net.Conn }

func (c honest) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == io.EOF {
		err = errBareFIN
	}
	return n, err
}

// A pushedBack connection has been read too far.
type pushedBack struct {
	net.Conn
	early []byte
}

func (c *pushedBack) Read(b []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(b, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}
