package socket

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// A pki is an authority, made for a test, and the files of what it has signed.
type pki struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var serials struct {
	mu sync.Mutex
	n  int64
}

func serial() *big.Int {
	serials.mu.Lock()
	defer serials.mu.Unlock()
	serials.n++
	return big.NewInt(serials.n)
}

// newPKI returns an authority of a name of its own: by it a server says whose
// certificates it wants.
func newPKI(t *testing.T) *pki {
	t.Helper()
	p := &pki{dir: t.TempDir()}
	p.key = newECDSA(t)
	number := serial()
	template := &x509.Certificate{
		SerialNumber: number, Subject: pkix.Name{CommonName: "test authority " + number.String()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, p.key.Public(), p.key)
	if err != nil {
		t.Fatal(err)
	}
	p.cert, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, p.file("ca.pem"), "CERTIFICATE", der)
	return p
}

func (p *pki) file(name string) string { return filepath.Join(p.dir, name) }

// issue signs a certificate with the names of localhost, and of template; its
// files are NAME.pem and NAME.key.
func (p *pki) issue(t *testing.T, name string, change func(*x509.Certificate)) (cert, key string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost", name + ".example.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		URIs:           []*url.URL{{Scheme: "spiffe", Host: "test", Path: "/" + name}},
		EmailAddresses: []string{name + "@example.com"},
		ExtKeyUsage:    []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	k := newECDSA(t)
	der, err := x509.CreateCertificate(rand.Reader, template, p.cert, k.Public(), p.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = p.file(name+".pem"), p.file(name+".key")
	writePEM(t, key, "PRIVATE KEY", pkcs)
	writePEM(t, cert, "CERTIFICATE", der)
	return cert, key
}

func newECDSA(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// server is an address to listen at, of a certificate for localhost.
func (p *pki) server(t *testing.T, more string) Address {
	t.Helper()
	cert, key := p.issue(t, "server", nil)
	return address(t, "tls://127.0.0.1:0?cert="+cert+"&key="+key+more)
}

// to is l's address, to dial it.
func (p *pki) to(t *testing.T, l *Listener, more string) Address {
	t.Helper()
	return address(t, "tls://"+l.Addr().address()+"?ca="+p.file("ca.pem")+more)
}

// tlsKind is an address to listen at that trusts nobody and is trusted by
// everybody in its test.
func tlsKind(t *testing.T) string {
	t.Helper()
	return newPKI(t).server(t, "").String()
}

// A tlsPeer is the other end of a socket with TLS: package tls, over a connection
// whose end is not taken for that of the stream.
type tlsPeer struct {
	*tls.Conn
	*net.TCPConn
}

var errBareFIN = errors.New("FIN without close_notify")

// A strictWire is a connection whose FIN alone is no end.
type strictWire struct{ *net.TCPConn }

func (w strictWire) Read(b []byte) (int, error) {
	n, err := w.TCPConn.Read(b)
	if err == io.EOF {
		err = errBareFIN // package tls makes io.EOF of io.ErrUnexpectedEOF
	}
	return n, err
}

func newTLSPeer(c net.Conn, cfg *tls.Config) tlsPeer {
	if cfg == nil {
		cfg = &tls.Config{InsecureSkipVerify: true}
	}
	return tlsPeer{tls.Client(strictWire{c.(*net.TCPConn)}, cfg), c.(*net.TCPConn)}
}

func (p tlsPeer) Read(b []byte) (int, error)         { return p.Conn.Read(b) }
func (p tlsPeer) Write(b []byte) (int, error)        { return p.Conn.Write(b) }
func (p tlsPeer) LocalAddr() net.Addr                { return p.TCPConn.LocalAddr() }
func (p tlsPeer) RemoteAddr() net.Addr               { return p.TCPConn.RemoteAddr() }
func (p tlsPeer) SetDeadline(d time.Time) error      { return p.TCPConn.SetDeadline(d) }
func (p tlsPeer) SetReadDeadline(d time.Time) error  { return p.TCPConn.SetReadDeadline(d) }
func (p tlsPeer) SetWriteDeadline(d time.Time) error { return p.TCPConn.SetWriteDeadline(d) }
func (p tlsPeer) SetLinger(s int) error              { return p.TCPConn.SetLinger(s) }

// Close is CloseWrite and then the end of TCP.
func (p tlsPeer) Close() error {
	p.Conn.CloseWrite()
	return p.TCPConn.Close()
}

func (p tlsPeer) CloseWrite() error {
	if err := p.Conn.CloseWrite(); err != nil {
		return err
	}
	return p.TCPConn.CloseWrite()
}

func (p tlsPeer) CloseRead() error { return p.TCPConn.CloseRead() }

func (p tlsPeer) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{p.Conn}, r)
}

func (p tlsPeer) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{p.Conn})
}
