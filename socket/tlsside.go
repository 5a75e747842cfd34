package socket

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"
)

// A tlsSide is one side of TLS, as an address describes it: the client's for
// dialling, the server's for listening. It holds what the files of the address
// say, and looks whether they have changed.
type tlsSide struct {
	place  string // the address, without options
	host   string // that is dialled
	client bool
	s      tlsSettings

	mu     sync.Mutex
	looked time.Time // when the files were, last
	files  []tlsFile
	cfg    *tls.Config
	stale  error // why cfg is not what the files say
}

// A tlsFile is a file that a side was made of, as it was.
type tlsFile struct {
	option, path string
	info         fs.FileInfo
}

// lookFiles is the least time between two looks at the files.
const lookFiles = time.Second

// newTLSSide reads the files of an address.
func newTLSSide(a Address, s *settings, u use) (*tlsSide, error) {
	d := &tlsSide{place: a.place(), host: a.Host, client: u == dialling, s: s.tls}
	d.files = d.s.files()
	d.look()
	var err error
	if d.cfg, err = d.load(); err != nil {
		return nil, err
	}
	return d, nil
}

// files returns those that the options name.
func (s *tlsSettings) files() (list []tlsFile) {
	for _, f := range []tlsFile{
		{option: "cert", path: s.cert}, {option: "key", path: s.key}, {option: "ca", path: s.ca}, {option: "client_ca", path: s.clientCA},
		{option: "tunnel_key", path: s.tunnelKey}, {option: "identity", path: s.identity}, {option: "peer", path: s.peerFile()},
	} {
		if f.path != "" {
			list = append(list, f)
		}
	}
	return list
}

// Files returns the names of the files that a tls: address is made of, which are
// read when it is first used and whenever they have changed.
func (a Address) Files() (names []string) {
	if a.Kind != TLS {
		return nil
	}
	for _, u := range []use{dialling, listening} {
		s, err := a.settings(u)
		if err != nil {
			continue
		}
		for _, f := range s.tls.files() {
			if !slices.Contains(names, f.path) {
				names = append(names, f.path)
			}
		}
	}
	return names
}

// reload is ReloadCertificates of one.
func (d *tlsSide) reload() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.look()
	return d.replace()
}

// config returns what handshakes are to use now, and why it is not what the files
// say, if so.
func (d *tlsSide) config() (*tls.Config, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.looked) >= lookFiles && d.look() {
		d.replace()
	}
	return d.cfg, d.stale
}

// look notes how the files are now, and reports whether that is another way than
// it was. What is read after it is at least as new. d.mu is held.
func (d *tlsSide) look() (changed bool) {
	d.looked = time.Now()
	for i := range d.files {
		f := &d.files[i]
		now, _ := os.Stat(f.path) // reading it will say why not
		if !sameFile(f.info, now) {
			f.info, changed = now, true
		}
	}
	return changed
}

func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// replace reads the files. d.mu is held.
func (d *tlsSide) replace() error {
	cfg, err := d.load()
	d.stale = nil
	if err == nil {
		d.cfg = cfg
		return nil
	}
	d.stale = fmt.Errorf("%s: the files before are still in use: %w", d.place, err)
	return d.stale
}

// secret reports whether the two sides know each other by a key alone.
func (d *tlsSide) secret() bool { return d.s.tunnelKey != "" || d.s.identity != "" }

// load makes a configuration of the files.
//
// There are no session tickets, and no early data: each connection is
// authenticated by what holds at its time, and a ticket's key is a secret that
// opens what was recorded.
func (d *tlsSide) load() (*tls.Config, error) {
	if d.secret() {
		return d.loadTunnel()
	}
	c := &tls.Config{
		MinVersion: d.s.min, NextProtos: d.s.alpn, SessionTicketsDisabled: true,
		VerifyConnection: d.s.verifyPeer,
	}
	if d.s.cert != "" {
		pair, err := loadPair(d.s.cert, d.s.key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
		// Package tls would show a server none that is not of the authorities
		// that it names, and both sides were told that there is none.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	if d.client {
		c.ServerName = d.s.sni
		if c.ServerName == "" {
			c.ServerName = d.host
		}
		c.InsecureSkipVerify = d.s.verify != verifyFull
	}
	var err error
	if d.s.ca != "" {
		if c.RootCAs, err = loadPool("ca", d.s.ca); err != nil {
			return nil, err
		}
	}
	switch {
	case d.s.clientCA != "":
		if c.ClientCAs, err = loadPool("client_ca", d.s.clientCA); err != nil {
			return nil, err
		}
		c.ClientAuth = tls.RequireAndVerifyClientCert
		if d.s.optional {
			c.ClientAuth = tls.VerifyClientCertIfGiven
		}
	case !d.client && d.s.verify == verifyPin:
		c.ClientAuth = tls.RequireAnyClientCert
	}
	return c, nil
}

// maxPEM bounds what is read of a file of certificates: that of all the web's
// authorities has some 250 kB.
const maxPEM = 4 << 20

// readSmall reads a file that should be small.
func readSmall(option, path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("is not a file")
	}
	if err == nil && info.Size() > limit {
		err = fmt.Errorf("has %d bytes: %d are the most", info.Size(), limit)
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fileError(option, path, reason(err))
	}
	return b, nil
}

func fileError(option, path string, err error) error {
	return fmt.Errorf("option %q: %s: %w", option, path, err)
}

// loadPair reads a certificate and its key, which may be in the same file.
func loadPair(cert, key string) (tls.Certificate, error) {
	certPEM, err := readSmall("cert", cert, maxPEM)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyPEM, option, path := certPEM, "cert", cert
	if key != "" {
		option, path = "key", key
		if keyPEM, err = readSmall("key", key, maxPEM); err != nil {
			return tls.Certificate{}, err
		}
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err == nil {
		return pair, nil
	}
	// Package tls does not say which of the two it means, but it looks at the
	// certificate first.
	if !hasCertificate(certPEM) {
		return tls.Certificate{}, fileError("cert", cert, errNoCertificate)
	}
	return tls.Certificate{}, fileError(option, path, withoutPrefix("tls: ", err))
}

// loadPool reads the certificates of authorities.
func loadPool(option, path string) (*x509.CertPool, error) {
	b, err := readSmall(option, path, maxPEM)
	if err != nil {
		return nil, err
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(b) {
		return nil, fileError(option, path, errNoCertificate)
	}
	return p, nil
}

var errNoCertificate = errors.New("has no certificate in PEM")

func hasCertificate(b []byte) bool { return x509.NewCertPool().AppendCertsFromPEM(b) }
