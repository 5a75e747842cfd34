package tests

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"relayd/relay"
	"relayd/socket"
	"relayd/tests/leak"
	"relayd/tests/program"
)

// TLS as others speak it: curl, openssl's client and its server.

// certificate makes a certificate for this machine, which is its own authority.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
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
	for _, f := range []struct {
		path, kind string
		der        []byte
	}{{cert, "CERTIFICATE", der}, {key, "PRIVATE KEY", pkcs}} {
		if err := os.WriteFile(f.path, pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// tlsRelay listens with TLS in front of a server.
func tlsRelay(t *testing.T, to socket.Address, more string) (r *relayd, cert, key string) {
	t.Helper()
	cert, key = certificate(t)
	return startRelay(t, relay.Config{
		Listen: []socket.Address{address(t, "tls://127.0.0.1:0?cert="+cert+"&key="+key+more)},
		To:     to,
	}), cert, key
}

// at is where a relay listens, for other programs.
func (r *relayd) at() string {
	a := r.addr()
	return fmt.Sprintf("%s:%d", a.Host, a.Port)
}

// body is more than one record, and than one buffer.
func body() string { return strings.Repeat("0123456789abcdef", 1<<16) }

// curl is content with a plain HTTP server behind our TLS, and with our plain
// port in front of a server with TLS.
func TestCurlThroughTLS(t *testing.T) {
	curl := program.Need(t, "curl")
	leak.Check(t)
	answer := func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body()) }
	front := httptest.NewServer(http.HandlerFunc(answer))
	defer front.Close()
	for _, version := range [][]string{{"--tlsv1.3"}, {"--tls-max", "1.2"}} {
		r, cert, _ := tlsRelay(t, address(t, front.Listener.Addr().String()), "&alpn=http/1.1")
		var got bytes.Buffer
		args := []string{"-sS", "--http1.1", "--cacert", cert, fmt.Sprintf("https://localhost:%d/", r.addr().Port)}
		call(t, nil, &got, curl, append(args, version...)...)
		if got.String() != body() {
			t.Errorf("%s: curl got %d bytes", version, got.Len())
		}
		if ends := r.log.ends(t, 1); ends["eof client"]+ends["eof upstream"] != 1 {
			t.Errorf("%s: ends: %v", version, ends)
		}
	}

	cert, key := certificate(t)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	back := httptest.NewUnstartedServer(http.HandlerFunc(answer))
	back.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	back.StartTLS()
	defer back.Close()
	r := startRelay(t, relay.Config{To: address(t, "tls://"+back.Listener.Addr().String()+"?ca="+cert)})
	var got bytes.Buffer
	call(t, nil, &got, curl, "-sS", "http://"+r.at()+"/")
	if got.String() != body() {
		t.Errorf("curl got %d bytes", got.Len())
	}
	r.log.ends(t, 1)

	// Who speaks HTTP to the TLS port is told apart.
	s, _, _ := tlsRelay(t, address(t, front.Listener.Addr().String()), "")
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if err := exec.CommandContext(ctx, curl, "-sS", "http://"+s.at()+"/").Run(); err == nil {
		t.Error("curl is content with http:// to a TLS port")
	}
	if ends := s.log.wait(t, "conn ended", 1); ends[0].text("reason") != "tls-failed" || !strings.Contains(ends[0].text("err"), "plain HTTP request") {
		t.Errorf("the line says %v", ends[0].attrs)
	}
}

// An opensslPeer is openssl on the other side of a pipe.
type opensslPeer struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr bytes.Buffer
}

func openssl(t *testing.T, args ...string) *opensslPeer {
	t.Helper()
	p := &opensslPeer{cmd: exec.Command(program.Need(t, "openssl"), args...)}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.out, p.cmd.Stderr = in, bufio.NewReader(out), &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
	})
	return p
}

// says sends a line, and wants one.
func (p *opensslPeer) says(t *testing.T, line, want string) {
	t.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := p.out.ReadString('\n'); strings.TrimSuffix(got, "\n") != want {
		t.Fatalf("got %q, %v; want %q\n%s", got, err, want, &p.stderr)
	}
}

// openssl's client ends with close_notify, which is an end; killed, it does not,
// and that is a reset.
func TestOpenSSLClient(t *testing.T) {
	for _, version := range []string{"-tls1_3", "-tls1_2"} {
		t.Run(version, func(t *testing.T) {
			program.Need(t, "openssl")
			leak.Check(t)
			r, cert, _ := tlsRelay(t, serve(t, address(t, "127.0.0.1:0"), echo), "")
			args := []string{"s_client", "-quiet", "-no_ign_eof", "-verify_return_error", "-CAfile", cert, "-connect", r.at(), version}
			p := openssl(t, args...)
			p.says(t, "hello", "hello")
			p.in.Close()
			p.cmd.Wait()
			if got := r.log.ends(t, 1); got["eof client"] != 1 {
				t.Errorf("after close_notify: %v", got)
			}
			p = openssl(t, args...)
			p.says(t, "hello", "hello")
			p.cmd.Process.Kill()
			ends := r.log.wait(t, "conn ended", 2)
			if last := ends[1]; last.text("reason") != "reset-client" || !strings.Contains(last.text("err"), "without close_notify") {
				t.Errorf("after kill -9: %v", last.attrs)
			}
		})
	}
	t.Run("too old", func(t *testing.T) {
		r, cert, _ := tlsRelay(t, address(t, "echo:"), "&min=1.3")
		p := openssl(t, "s_client", "-quiet", "-CAfile", cert, "-connect", r.at(), "-tls1_2")
		p.cmd.Wait()
		ends := r.log.wait(t, "conn ended", 1)
		if ends[0].text("reason") != "tls-failed" || !strings.Contains(ends[0].text("err"), "client offered only unsupported versions") {
			t.Errorf("the line says %v", ends[0].attrs)
		}
		if !strings.Contains(p.stderr.String(), "alert protocol version") {
			t.Errorf("openssl was told:\n%s", &p.stderr)
		}
	})
	t.Run("without certificate", func(t *testing.T) {
		authority, _ := certificate(t)
		r, cert, _ := tlsRelay(t, address(t, "echo:"), "&client_ca="+authority)
		p := openssl(t, "s_client", "-quiet", "-CAfile", cert, "-connect", r.at())
		p.cmd.Wait()
		ends := r.log.wait(t, "conn ended", 1)
		if ends[0].text("reason") != "tls-failed" || !strings.Contains(ends[0].text("err"), "client didn't provide a certificate") {
			t.Errorf("the line says %v", ends[0].attrs)
		}
		if !strings.Contains(p.stderr.String(), "alert certificate required") {
			t.Errorf("openssl was told:\n%s", &p.stderr)
		}
	})
}

// openssl's server, which sends session tickets that nobody asked for, answers
// what one types before one types on; killed, it resets.
func TestOpenSSLServer(t *testing.T) {
	for _, version := range []string{"-tls1_3", "-tls1_2"} {
		for _, chain := range []string{"", "gzip,gunzip"} {
			t.Run(version+" "+chain, func(t *testing.T) {
				program.Need(t, "openssl")
				leak.Check(t)
				cert, key := certificate(t)
				ln, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				port := ln.Addr().(*net.TCPAddr).Port
				ln.Close()
				p := openssl(t, "s_server", "-rev", "-accept", fmt.Sprintf("127.0.0.1:%d", port), "-cert", cert, "-key", key, version)
				for line := ""; !strings.HasPrefix(line, "ACCEPT"); {
					if line, err = p.out.ReadString('\n'); err != nil {
						t.Fatalf("%v\n%s", err, &p.stderr)
					}
				}
				r := startRelay(t, relay.Config{
					To:   address(t, fmt.Sprintf("tls://127.0.0.1:%d?ca=%s&sni=localhost", port, cert)),
					Down: stages(t, chain), // which asks whether more is at hand
				})
				c := dial(t, r.addr())
				lines := bufio.NewReader(c)
				for range 100 {
					io.WriteString(c, "abc\n")
					if got, err := lines.ReadString('\n'); got != "cba\n" {
						t.Fatalf("%q, %v", got, err)
					}
				}
				p.cmd.Process.Kill()
				ends := r.log.wait(t, "conn ended", 1)
				if ends[0].text("reason") != "reset-upstream" {
					t.Errorf("after kill -9: %v", ends[0].attrs)
				}
				if n, err := c.Read(make([]byte, 1)); n != 0 || err == io.EOF {
					t.Errorf("the client read %d, %v: a clean end", n, err)
				}
			})
		}
	}
}

// Both sides of a relay may have TLS, and so may both of its neighbours; each
// direction ends by itself, through all of them.
func TestTLSHalfClose(t *testing.T) {
	leak.Check(t)
	const n = 16 << 20
	far, cert, _ := tlsRelay(t, serve(t, address(t, "127.0.0.1:0"), answerAfterEOF(n)), "")
	near := startRelay(t, relay.Config{To: address(t, "tls://"+far.at()+"?ca="+cert)})
	askAfterEOF(t, n, near, far)
}

// A conn that does not shake hands costs the upstream nothing, is listed, and can
// be drained away.
func TestTLSHandshakeIsBounded(t *testing.T) {
	leak.Check(t)
	asked := make(chan struct{}, 1)
	r, _, _ := tlsRelay(t, serve(t, address(t, "127.0.0.1:0"), func(conn) { asked <- struct{}{} }), "")
	c := dial(t, r.addr())
	for r.Live() == 0 {
	}
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer stop()
	r.Drain(ctx)
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
	if got := r.log.ends(t, 1); got["drained us"] != 1 {
		t.Errorf("ends: %v", got)
	}
	select {
	case <-asked:
		t.Error("the upstream was dialled")
	default:
	}
}

// A server that wants a certificate of ours says so when our handshake is over,
// with TLS 1.3: this is no reset like another.
func TestTLSUpstreamRefuses(t *testing.T) {
	leak.Check(t)
	cert, key := certificate(t)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	to := serve(t, tcp4.any(t), func(c conn) {
		tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert}).Handshake()
	})
	to.Kind, to.Options = socket.TLS, "ca="+cert
	r := startRelay(t, relay.Config{To: to})
	c := dial(t, r.addr())
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Errorf("the client reads %d bytes, %v", n, err)
	}
	if end := r.log.wait(t, "conn ended", 1)[0]; end.text("reason") != "tls-failed" || end.text("first_closer") != "upstream" ||
		!strings.Contains(end.text("err"), "it wants a certificate of ours") {
		t.Errorf("the line says %v", end.attrs)
	}
}
