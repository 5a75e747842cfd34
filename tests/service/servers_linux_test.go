package service

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"relayd/tests/program"
)

// A server is one of TLS that clients know by its certificate. It says who its
// PROXY header names, sends lines back, resets the connection when one of them is
// reset, and says bye after its client's end.
type server struct {
	t       *testing.T
	name    string
	headers bool // it wants PROXY headers
	tls     *tls.Config
	addr    string

	mu      sync.Mutex
	ends    map[string]error // of connections, by the source that the header names
	ln      net.Listener     // nil: it is down
	serving sync.WaitGroup
}

func startServer(t *testing.T, name string, headers bool) *server {
	t.Helper()
	cert := certificate(t, name)
	s := &server{t: t, name: name, headers: headers, tls: &tls.Config{Certificates: []tls.Certificate{cert}}, addr: "127.0.2.1:0", ends: make(map[string]error)}
	s.up()
	t.Cleanup(func() {
		s.down()
		s.serving.Wait()
	})
	return s
}

// certificate returns one of this name, signed by itself.
func certificate(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// up makes it accept, at the address that it had.
func (s *server) up() {
	s.t.Helper()
	ln, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ln, s.addr = ln, ln.Addr().String()
	s.serving.Go(func() { s.accept(ln) })
}

// down makes it refuse connections.
func (s *server) down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ln != nil {
		s.ln.Close()
	}
	s.ln = nil
}

// endOf returns how the connection of a source has ended, nil if it has not.
func (s *server) endOf(source string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ends[source]
}

func (s *server) accept(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		s.serving.Go(func() { s.serve(c.(*net.TCPConn)) })
	}
}

func (s *server) serve(c *net.TCPConn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * patience))
	source, to := netip.AddrPort{}, netip.AddrPort{}
	if s.headers {
		var err error
		if source, to, err = readHeader(c); err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) { // of checks
				s.t.Errorf("%s: a PROXY header: %v", s.name, err)
			}
			return
		}
		if !source.IsValid() {
			return // a check
		}
	}
	over := tls.Server(c, s.tls)
	if _, err := fmt.Fprintf(over, "%s %s %s\n", s.name, source, to); err != nil {
		return // of a check, or of a client that has gone
	}
	lines := bufio.NewReader(over)
	for {
		line, err := lines.ReadString('\n')
		switch {
		case err != nil:
			s.mu.Lock()
			s.ends[source.String()] = err
			s.mu.Unlock()
			fmt.Fprintf(over, "bye\n")
			return
		case line == "reset\n":
			c.SetLinger(0)
			return
		}
		io.WriteString(over, line)
	}
}

// readHeader reads a PROXY header of version 2: to be independent of what relayd
// writes with, it is read by hand. One of the proxy's own names nobody.
func readHeader(c io.Reader) (source, to netip.AddrPort, err error) {
	var b [16]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return source, to, err
	}
	if !bytes.HasPrefix(b[:], []byte("\r\n\r\n\x00\r\nQUIT\n")) || b[12]>>4 != 2 {
		return source, to, fmt.Errorf("it begins with %q", b)
	}
	rest := make([]byte, binary.BigEndian.Uint16(b[14:]))
	if _, err := io.ReadFull(c, rest); err != nil {
		return source, to, err
	}
	switch {
	case b[12] == 0x20: // LOCAL
		return source, to, nil
	case b[12] == 0x21 && b[13] == 0x11 && len(rest) >= 12: // PROXY, TCP over IPv4
		at := func(ip, port int) netip.AddrPort {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte(rest[ip:])), binary.BigEndian.Uint16(rest[port:]))
		}
		return at(0, 8), at(4, 10), nil
	}
	return source, to, fmt.Errorf("it is %q, %q", b, rest)
}

// startRedis runs a real server, which is known by the path of its socket.
func startRedis(t *testing.T, dir, name string, args ...string) (path string) {
	t.Helper()
	path = filepath.Join(dir, name)
	p := spawn(t, exec.Command(program.Need(t, "redis-server"), append([]string{"--port", "0", "--unixsocket", path, "--save", "", "--dir", dir}, args...)...))
	until(t, name+" answers", func() bool {
		p.alive()
		c, err := net.Dial("unix", path)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
	return path
}
