package relay

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"relayd/lifetime"
	"relayd/relay/preface"
	"relayd/socket"
	"relayd/tests/leak"
)

// TLS that ends at a listener: routes by what was agreed on, headers before it,
// and what a client learns that gets no further.

// pair writes a certificate that signs itself, for a server and for a client.
func pair(t *testing.T, cn string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: cn},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(t, cert, "CERTIFICATE", der)
	writePEM(t, key, "PRIVATE KEY", pkcs)
	return cert, key
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// terminating returns opening's configuration with real prefaces, after which TLS
// ends at the listener, which has more options.
func terminating(t *testing.T, options string) (c Config, one, two backend) {
	t.Helper()
	c, one, two = opening(t)
	c.seams = seams{}
	c.Routes[1].Up = nil
	cert, key := pair(t, "server")
	l := &c.Listeners[0]
	l.Address = address(t, fmt.Sprintf("tls://127.0.0.1:0?cert=%s&key=%s%s", cert, key, options))
	l.ProxyFrom = nil
	return c, one, two
}

// shake does the handshake of a client.
func shake(t *testing.T, d net.Conn, c *tls.Config) *tls.Conn {
	t.Helper()
	c.InsecureSkipVerify = true // who the server is matters to other tests
	s := tls.Client(d, c)
	if err := s.Handshake(); err != nil {
		t.Fatal(err)
	}
	return s
}

// A match goes by the name that the client asked for, and by the protocol that
// both have agreed on: not by another one that the client has offered, too.
func TestTerminatedMatch(t *testing.T) { eachPolicy(t, testTerminatedMatch) }

func testTerminatedMatch(t *testing.T, policy lifetime.Policy) {
	leak.Check(t)
	c, one, two := terminating(t, "&alpn=http/1.1&alpn=h2")
	c.Policy = policy
	s, log := start(t, c)
	for _, tt := range []struct {
		name   string
		offers []string
		up     backend
		route  string
	}{
		{"Two.Example.com", nil, two, "two"},
		{"x.two.example.com", []string{"http/1.1"}, two, "two"},
		{"other.example.com", nil, one, "one"},
		{"", []string{"h2"}, two, "two"},
		{"", []string{"h2", "http/1.1"}, one, "one"},
		{"", nil, one, "one"},
	} {
		d := shake(t, dial(t, s.Addrs()[0]), &tls.Config{ServerName: tt.name, NextProtos: tt.offers})
		up := tt.up.accept(t)
		send(t, d, "ask")
		wantText(t, up, "ask")
		send(t, up, "answer")
		finish(t, up) // the client's half lives on
		wantText(t, d, "answer")
		wantEOF(t, d)
		send(t, d, "more")
		wantText(t, up, "more")
		if err := d.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		wantEOF(t, up)
		if end := log.wantEnd(t, EOF, Upstream); end["route"].String() != tt.route {
			t.Errorf("%q, %q: the line is %v", tt.name, tt.offers, end)
		}
	}
}

// A client whom no route takes is reset after its handshake: no close_notify says
// that this was a stream.
func TestTerminatedNoRoute(t *testing.T) {
	leak.Check(t)
	c, _, _ := terminating(t, "")
	c.Listeners[0].Route = ""
	s, log := start(t, c)
	raw := dial(t, s.Addrs()[0])
	shake(t, raw, &tls.Config{ServerName: "other"})
	log.wantEnd(t, NoRoute, Us)
	wantReset(t, raw)
}

// A client whose handshake is refused is told why, and nothing is left of it.
func TestTerminatedRefusal(t *testing.T) { eachPolicy(t, testTerminatedRefusal) }

func testTerminatedRefusal(t *testing.T, policy lifetime.Policy) {
	leak.Check(t)
	ca, _ := pair(t, "authority")
	c, _, _ := terminating(t, "&min=1.3&client_ca="+ca)
	c.Policy = policy
	s, log := start(t, c)
	for _, tt := range []struct {
		config *tls.Config
		want   string
	}{
		{&tls.Config{MaxVersion: tls.VersionTLS12}, "protocol version not supported"},
		{&tls.Config{}, "certificate required"},
	} {
		tt.config.InsecureSkipVerify = true
		d := tls.Client(dial(t, s.Addrs()[0]), tt.config)
		_, err := d.Read(make([]byte, 1))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("the client was told %v, want %q", err, tt.want)
		}
		d.NetConn().Close()
		log.wantEnd(t, TLSFailed, Client)
	}
	cut(t, s)
	if n := s.live.Load(); n != 0 {
		t.Errorf("at the end there are %d", n)
	}
}

// A client that does not finish its handshake is ended in time, or by hand.
func TestTerminatedSlow(t *testing.T) { eachPolicy(t, testTerminatedSlow) }

func testTerminatedSlow(t *testing.T, policy lifetime.Policy) {
	leak.Check(t)
	c, _, _ := terminating(t, "")
	c.Policy = policy
	c.Listeners[0].PrefaceTimeout = 100 * time.Millisecond
	s, log := start(t, c)
	d := dial(t, s.Addrs()[0])
	send(t, d, "\x16\x03\x01") // the beginning of a record
	wantReset(t, d)            // there is no alert that it has to get
	log.wantEnd(t, TLSFailed, Client)

	c.Listeners[0].PrefaceTimeout = -1
	s, log = start(t, c)
	d = dial(t, s.Addrs()[0])
	send(t, d, "\x16\x03\x01")
	eventually(t, "it is there", func() bool { return s.Live() == 1 })
	if r, err := s.Kill(t.Context(), s.Conns()[0].ID); err != nil || r.Upstream != nil {
		t.Errorf("kill: %+v, %v", r, err)
	}
	wantReset(t, d)
	log.wantEnd(t, Killed, Us)
}

// A client that resets is one, whatever it was about to say: probes of other
// proxies do.
func TestTerminatedReset(t *testing.T) {
	leak.Check(t)
	c, _, _ := terminating(t, "")
	s, log := start(t, c)
	d := dial(t, s.Addrs()[0])
	send(t, d, "\x16\x03\x01")
	eventually(t, "it is there", func() bool { return s.Live() == 1 })
	reset(d)
	log.wantEnd(t, ResetClient, Client)
}

// A PROXY header comes before TLS, and says who the client is; what it has told,
// and what TLS has, the upstream is told.
func TestProxyBeforeTLS(t *testing.T) {
	leak.Check(t)
	ca, caKey := pair(t, "client 7")
	for _, tt := range []struct {
		name    string
		options string
		certs   bool
		want    preface.SSL
	}{
		{"no certificate", "", false, preface.SSL{TLS: true, Verify: 1}},
		{"optional", "&client_auth=optional&client_ca=" + ca, false, preface.SSL{TLS: true, Verify: 1}},
		{"certificate", "&client_ca=" + ca, true, preface.SSL{TLS: true, CertConn: true, CertSession: true, CN: "client 7"}},
	} {
		c, one, _ := terminating(t, "&alpn=x/1"+tt.options)
		c.Listeners[0].ProxyFrom = networks("127.0.0.0/8")
		c.Listeners[0].Deny = networks("127.0.0.0/8") // is about the client that is named
		c.Routes[0].SendProxy = ProxyV2TLV
		s, log := start(t, c)
		raw := dial(t, s.Addrs()[0])
		var h preface.Header
		h.Source, h.Destination = netip.MustParseAddrPort("10.9.9.9:1"), netip.MustParseAddrPort("10.0.0.1:443")
		h.Set(preface.TypeAuthority, []byte("not.this.one"))
		h.Set(preface.TypeUniqueID, []byte("id"))
		h.SetSSL(preface.SSL{TLS: true, CertConn: true, CN: "forged"})
		b, err := h.Append(nil, 2)
		if err != nil {
			t.Fatal(err)
		}
		send(t, raw, string(b))
		config := &tls.Config{ServerName: "a.example.com", NextProtos: []string{"x/1"}}
		if tt.certs {
			p, err := tls.LoadX509KeyPair(ca, caKey)
			if err != nil {
				t.Fatal(err)
			}
			config.Certificates = []tls.Certificate{p}
		}
		d := shake(t, raw, config)
		send(t, d, "x")
		up := one.accept(t)
		got := readHeader(t, up)
		wantText(t, up, "x")
		if got.From() != "10.9.9.9:1" || got.To() != "10.0.0.1:443" {
			t.Errorf("%s: the client is %s, and wanted %s", tt.name, got.From(), got.To())
		}
		for kind, want := range map[preface.TLVType]string{
			preface.TypeAuthority: "a.example.com", preface.TypeUniqueID: "id", preface.TypeALPN: "x/1",
		} {
			if v, _ := got.Value(kind); string(v) != want {
				t.Errorf("%s: the TLV %#02x is %q, want %q", tt.name, kind, v, want)
			}
		}
		ssl, _ := got.SSL()
		tt.want.Version, tt.want.Cipher = "TLS 1.3", tls.CipherSuiteName(d.ConnectionState().CipherSuite)
		if ssl != tt.want {
			t.Errorf("%s: of TLS it tells %+v, want %+v", tt.name, ssl, tt.want)
		}
		if i := s.Conns()[0]; i.Client != "10.9.9.9:1" {
			t.Errorf("%s: the conn's client is %s", tt.name, i.Client)
		}
		if err := d.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		wantEOF(t, up)
		finish(t, up)
		wantEOF(t, d)
		log.wantEnd(t, EOF, Client)
		cut(t, s)
	}
}

// That files have changed and are of no use is said once for each address, on both
// sides, and again when it was over in between.
func TestStaleCertificatesAreSaidOnce(t *testing.T) {
	leak.Check(t)
	cert, key := pair(t, "both")
	good, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	far := echoing(t, "far")
	far.Listeners[0].Address = address(t, fmt.Sprintf("tls://127.0.0.1:0?cert=%s&key=%s", cert, key))
	up, _ := start(t, far)
	near := echoing(t, "near")
	near.Listeners[0].Address = far.Listeners[0].Address
	near.Upstreams[0].Targets[0].Address = address(t, fmt.Sprintf("tls://%s:%d?verify=insecure&cert=%s&key=%s",
		up.Addrs()[0].Host, up.Addrs()[0].Port, cert, key))
	s, log := start(t, near)
	for i, step := range []struct {
		key  []byte
		want int // lines
	}{{good, 0}, {nil, 2}, {nil, 0}, {good, 0}, {nil, 2}} {
		if err := os.WriteFile(key, step.key, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := socket.ReloadCertificates(); (err == nil) != (step.key != nil) {
			t.Fatalf("step %d: %v", i, err)
		}
		d := shake(t, dial(t, s.Addrs()[0]), &tls.Config{})
		send(t, d, "x")
		wantText(t, d, "x")
		if err := d.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		wantEOF(t, d)
		said := len(log.gather(t, "conn ended", 1, "", 0)["certificates not reloaded"])
		if said != step.want {
			t.Errorf("step %d: it was said %d times, want %d", i, said, step.want)
		}
	}
}

// readHeader reads a PROXY header, and no byte more.
func readHeader(t *testing.T, c net.Conn) preface.Header {
	t.Helper()
	var seen []byte
	for b := make([]byte, 1); ; {
		if _, err := c.Read(b); err != nil {
			t.Fatalf("the header ended after %q: %v", seen, err)
		}
		seen = append(seen, b...)
		h, n, done, err := preface.ParseProxy(seen)
		if err != nil || done && n != len(seen) {
			t.Fatalf("%q is no header: %v, %d", seen, err, n)
		}
		if done {
			return h
		}
	}
}
