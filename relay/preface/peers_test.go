package preface

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"relayd/socket"
	"relayd/tests/program"
)

// These tests hold the headers against the proxies that are around most.

// listen opens a listener on a free port, for a program that inherits it: so that
// nobody has to wait until the program listens.
func listen(t *testing.T) (string, *os.File) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return l.Addr().String(), f
}

// run runs a program until the end of the test.
func run(t *testing.T, env string, listener *os.File, path string, args ...string) {
	t.Helper()
	c := exec.Command(path, args...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	c.Env = append(os.Environ(), env)
	c.ExtraFiles = []*os.File{listener}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Signal(syscall.SIGTERM) // nginx ends its workers
		c.Wait()
		if t.Failed() {
			t.Logf("%s says:\n%s", path, &out)
		}
	})
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// haproxy runs HAProxy with one listener. bind and rules are of its frontend,
// server of the server behind it.
func haproxy(t *testing.T, mode, bind, rules, server string) (address string) {
	t.Helper()
	path := program.Need(t, "haproxy")
	address, listener := listen(t)
	config := fmt.Sprintf(`
defaults
	mode %s
	timeout connect 10s
	timeout client 10s
	timeout server 10s
frontend f
	bind fd@3 %s
	%s
`, mode, bind, rules)
	if server != "" {
		config += "\tdefault_backend b\nbackend b\n\tserver s " + server + "\n"
	}
	run(t, "A=", listener, path, "-db", "-f", write(t, "haproxy.cfg", config))
	return address
}

// nginx runs nginx with one listener of its stream module, and rules for it.
func nginx(t *testing.T, options, rules string) (address string) {
	t.Helper()
	path, module := program.Need(t, "nginx"), program.Need(t, "ngx_stream_module.so")
	address, listener := listen(t)
	dir := t.TempDir()
	config := write(t, "nginx.conf", fmt.Sprintf(`
load_module %s;
daemon off;
pid %s/pid;
error_log stderr info;
events {}
stream { server { listen %s %s; %s } }
`, module, dir, address, options, rules))
	run(t, "NGINX=3;", listener, path, "-p", dir, "-e", "stderr", "-c", config)
	return address
}

// A receiver reads the prefaces of connections, answers with an "ok" and the
// stream, and ends them.
type receiver struct {
	address string
	got     chan Result
}

// receive starts one that wants a header of everybody.
func receive(t *testing.T, hello bool) *receiver {
	t.Helper()
	a, err := socket.ParseAddress("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := socket.Listen(t.Context(), a, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{strings.TrimPrefix(l.Addr().String(), "tcp://"), make(chan Result, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			r.serve(t, in, hello)
		}
	}()
	t.Cleanup(func() {
		l.Drop(context.Background())
		<-ended
	})
	return r
}

func (r *receiver) serve(t *testing.T, in socket.Incoming, hello bool) {
	s, err := in.Open(socket.At{})
	if err != nil {
		t.Error(err)
		return
	}
	got, err := Read(context.Background(), s, in.RemoteAddr(), Options{ProxyFrom: loopback, Hello: hello, Timeout: patience})
	if err != nil {
		t.Errorf("the preface: %v", err)
	}
	c, err := socket.NewConn(s)
	if err != nil {
		t.Error(err)
		return
	}
	r.got <- got
	io.WriteString(c, "ok ")
	io.Copy(c, io.LimitReader(c, int64(len(question))))
	c.Close()
	<-s.Resource().Done()
}

const (
	question = "a question"
	patience = 20 * time.Second
)

// ask connects, asks, and returns what the receiver was told, and the client's
// address.
func (r *receiver) ask(t *testing.T, address string, c *tls.Config) (Result, string) {
	t.Helper()
	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	client.SetDeadline(time.Now().Add(patience))
	from := client.LocalAddr().String()
	if c != nil {
		client = tls.Client(client, c)
	}
	io.WriteString(client, question)
	answer := make([]byte, len("ok "+question))
	if _, err := io.ReadFull(client, answer); err != nil || string(answer) != "ok "+question {
		t.Fatalf("the answer is %q, %v", answer, err)
	}
	return <-r.got, from
}

// What HAProxy and nginx write is understood, in each of their ways to write it.
func TestHeadersOfPeers(t *testing.T) {
	ours := receive(t, false)
	pemFile := write(t, "pem", pemOf(t, certificate(t)))
	tlsBind := "ssl crt " + pemFile + " alpn x/1"
	for name, test := range map[string]struct {
		address func() string
		tls     bool
		version int
		want    func(h *Header) bool
	}{
		"haproxy v1":      {func() string { return haproxy(t, "tcp", "", "", ours.address+" send-proxy") }, false, 1, nil},
		"haproxy v2":      {func() string { return haproxy(t, "tcp", "", "", ours.address+" send-proxy-v2") }, false, 2, nil},
		"haproxy v2, ssl": {func() string { return haproxy(t, "tcp", tlsBind, "", ours.address+" send-proxy-v2-ssl-cn") }, true, 2, saysTLS},
		"haproxy v2, all": {func() string {
			return haproxy(t, "tcp", tlsBind, "unique-id-format id-%rt\n\ttcp-request connection accept", ours.address+
				" send-proxy-v2 proxy-v2-options ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c,unique-id")
		}, true, 2, saysAll},
		"nginx v1": {func() string { return nginx(t, "", "proxy_pass "+ours.address+"; proxy_protocol on;") }, false, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			address := test.address()
			var c *tls.Config
			if test.tls {
				c = &tls.Config{ServerName: "a.example", NextProtos: []string{"x/1"}, InsecureSkipVerify: true}
			}
			got, from := ours.ask(t, address, c)
			h := got.Header
			if h == nil || h.Version != test.version || h.From() != from || h.To() != address {
				t.Fatalf("%+v, want version %d, from %s to %s", h, test.version, from, address)
			}
			if test.want != nil && !test.want(h) {
				s, _ := h.SSL()
				t.Errorf("%+v, and of TLS %+v", h, s)
			}
		})
	}
}

func saysTLS(h *Header) bool {
	s, ok := h.SSL()
	protocol, _ := h.Value(TypeALPN)
	return ok && s.TLS && s.Version == "TLSv1.3" && !s.CertConn && string(protocol) == "x/1"
}

func saysAll(h *Header) bool {
	s, _ := h.SSL()
	name, _ := h.Value(TypeAuthority)
	id, _ := h.Value(TypeUniqueID)
	return saysTLS(h) && h.Checksum && string(name) == "a.example" && strings.HasPrefix(string(id), "id-") &&
		strings.HasPrefix(s.Cipher, "TLS_") && s.KeyAlg != "" && s.SigAlg != ""
}

func pemOf(t *testing.T, c tls.Certificate) string {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}))
}

// A ClientHello that HAProxy passes on behind a header of its own is looked at, and
// stays.
func TestHelloBehindAPeer(t *testing.T) {
	ours := receive(t, true)
	address := haproxy(t, "tcp", "", "", ours.address+" send-proxy-v2")
	hello := clientHello(t, &tls.Config{ServerName: "a.example", NextProtos: []string{"h2"}})
	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	client.SetDeadline(time.Now().Add(patience))
	client.Write(hello)
	answer := make([]byte, len("ok "+question))
	if _, err := io.ReadFull(client, answer); err != nil || string(answer[3:]) != string(hello[:len(question)]) {
		t.Errorf("the answer is %q, %v", answer, err)
	}
	if got := <-ours.got; got.Hello == nil || got.Hello.ServerName != "a.example" || got.Header.From() != client.LocalAddr().String() {
		t.Errorf("%+v", got)
	}
}

// What we write is understood by HAProxy and nginx, which say what they have
// understood.
func TestHeadersForPeers(t *testing.T) {
	src, dst := addrPort("192.0.2.1:56324"), addrPort("198.51.100.2:443")
	src6, dst6 := addrPort("[2001:db8::1]:1"), addrPort("[2001:db8::2]:65535")
	told := Header{Source: src, Destination: dst, Checksum: true}
	told.Set(TypeAuthority, []byte("a.example"))
	told.Set(TypeALPN, []byte("h2"))
	told.Set(TypeUniqueID, []byte("id-7"))
	told.SetSSL(SSL{TLS: true, Version: "TLSv1.3", CN: "me", Cipher: "TLS_AES_128_GCM_SHA256"})
	toHAProxy := haproxy(t, "http", "accept-proxy",
		`http-request return status 200 content-type text/plain lf-string "<%[src] %[src_port] %[dst] %[dst_port] %[fc_pp_authority] %[fc_pp_unique_id]>"`, "")
	toNginx := nginx(t, "proxy_protocol", `return "<$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port  >";`)
	for name, test := range map[string]struct {
		h       Header
		version int
		want    string // "": the connection's own addresses
	}{
		"v1":         {Header{Source: src, Destination: dst}, 1, "<192.0.2.1 56324 198.51.100.2 443  >"},
		"v1 IPv6":    {Header{Source: src6, Destination: dst6}, 1, "<2001:db8::1 1 2001:db8::2 65535  >"},
		"v1 unknown": {Header{}, 1, ""},
		"v2":         {Header{Source: src, Destination: dst}, 2, "<192.0.2.1 56324 198.51.100.2 443  >"},
		"v2 IPv6":    {Header{Source: src6, Destination: dst6}, 2, "<2001:db8::1 1 2001:db8::2 65535  >"},
		"v2 mixed":   {Header{Source: src, Destination: dst6}, 2, "<::ffff:192.0.2.1 56324 2001:db8::2 65535  >"},
		"v2 crc":     {Header{Source: src, Destination: dst, Checksum: true}, 2, "<192.0.2.1 56324 198.51.100.2 443  >"},
		"v2 TLVs":    {told, 2, "<192.0.2.1 56324 198.51.100.2 443 a.example id-7>"},
		"v2 local":   {Header{Local: true}, 2, ""},
		"v2 unknown": {Header{Checksum: true, TLVs: told.TLVs}, 2, ""},
		"v2 unix":    {Header{Unix: true, SourcePath: "/run/s"}, 2, ""},
	} {
		for peer, address := range map[string]string{"haproxy": toHAProxy, "nginx": toNginx} {
			t.Run(name+" "+peer, func(t *testing.T) {
				header, err := test.h.Append(nil, test.version)
				if err != nil {
					t.Fatal(err)
				}
				answer, local := answerTo(t, address, header)
				want := test.want
				if want == "" {
					want = fmt.Sprintf("<%s %d ", local.Addr(), local.Port())
				}
				if peer == "nginx" {
					want = strings.Replace(want, "a.example id-7", " ", 1)
					if test.want == "" {
						want = "<     >" // it knows of none
					}
				}
				if !strings.Contains(answer, want) {
					t.Errorf("%s has understood %q, want %q", peer, answer, want)
				}
			})
		}
	}
}

// answerTo is what a peer answers to a header and a request.
func answerTo(t *testing.T, address string, header []byte) (answer string, local netip.AddrPort) {
	t.Helper()
	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	client.SetDeadline(time.Now().Add(patience))
	client.Write(append(header, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"...))
	all, err := io.ReadAll(client)
	if err != nil && !errors.Is(err, io.EOF) && !socket.IsReset(err) { // nginx does not read the request
		t.Error(err)
	}
	return string(all), client.LocalAddr().(*net.TCPAddr).AddrPort()
}
