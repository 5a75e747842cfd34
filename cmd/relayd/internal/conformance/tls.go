package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"syscall"
	"time"

	"relayd/socket"
)

// The kind tls: a socket of ours with TLS over TCP, and package tls at the far
// end.

// tlsRounds is by how much fewer rounds there are: a handshake takes some ten times
// as long as all else in a round.
const tlsRounds = 8

// tlsRecord is how much a record has, at most: it is encrypted as a whole.
const tlsRecord = 16 << 10

// A tlsPeer is the far end. Its FIN is close_notify and then TCP's.
type tlsPeer struct {
	*tls.Conn
	raw *net.TCPConn
}

// A strictWire is TCP whose FIN alone is no end: package tls would take it for
// one. It is what a reset is that a write has met before.
type strictWire struct{ *net.TCPConn }

// Read reads from the connection.
func (w strictWire) Read(b []byte) (int, error) {
	n, err := w.TCPConn.Read(b)
	if err == io.EOF {
		err = syscall.ECONNRESET
	}
	return n, err
}

// CloseWrite ends what the peer sends.
func (p tlsPeer) CloseWrite() error {
	if err := p.Conn.CloseWrite(); err != nil {
		return err
	}
	return p.raw.CloseWrite()
}

// Close is CloseWrite and the end of TCP.
func (p tlsPeer) Close() error {
	p.Conn.CloseWrite()
	return p.raw.Close()
}

// connectTLS makes the two ends of a TCP connection those of a link.
func (c *cell) connectTLS(ours, theirs net.Conn, at socket.At) (*link, error) {
	c.mu.Lock()
	a, err := c.tlsAddress()
	c.mu.Unlock()
	if err != nil {
		ours.Close()
		theirs.Close()
		return nil, err
	}
	s, err := socket.FromTLS(ours, a, at)
	if err != nil {
		theirs.Close()
		return nil, err
	}
	theirs, err = c.secure(s, theirs)
	if err != nil {
		return nil, err
	}
	return linkOf(s, ours, theirs), nil
}

// secure does the handshake of both ends.
func (c *cell) secure(s *socket.Socket, theirs net.Conn) (net.Conn, error) {
	raw := theirs.(*net.TCPConn)
	p := tlsPeer{tls.Client(strictWire{raw}, &tls.Config{InsecureSkipVerify: true}), raw}
	far := make(chan error, 1)
	go p.shake(far)
	_, err := s.Handshake(c.ctx)
	if err != nil {
		raw.Close()
	}
	if e := <-far; err == nil {
		err = e
	}
	return p, err
}

func (p tlsPeer) shake(done chan<- error) { done <- p.Handshake() }

// tlsAddress is where to listen with a certificate that is made up for the cell.
func (c *cell) tlsAddress() (socket.Address, error) {
	if c.certificate == "" {
		path, err := c.socketPath()
		if err != nil {
			return socket.Address{}, err
		}
		if err := writeCertificate(path); err != nil {
			return socket.Address{}, err
		}
		c.certificate = path
	}
	return socket.ParseAddress("tls://127.0.0.1:0?cert=" + c.certificate)
}

// writeCertificate makes one, and writes it and its key to a file.
func writeCertificate(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
	return os.WriteFile(path, text, 0o600)
}
