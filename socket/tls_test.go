package socket

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"relayd/lifetime"
)

// A met is what one side of a handshake came to.
type met struct {
	s    *Socket
	info TLSInfo
	err  error
}

// meet listens at one address and dials another one, which to makes of the
// listener.
func meet(t *testing.T, at Address, to func(*Listener) Address) (near, far met) {
	t.Helper()
	l, err := Listen(t.Context(), at, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Drop(t.Context())
	fars := make(chan met, 1)
	go func() {
		var m met
		defer func() { fars <- m }()
		in, err := l.Accept()
		if err == nil {
			m.s, err = in.Open(At{})
		}
		if err == nil {
			m.info, err = m.s.Handshake(t.Context())
		}
		m.err = err
	}()
	near.s, near.err = Dial(t.Context(), to(l), At{})
	if near.err == nil {
		near.info, near.err = near.s.Handshake(t.Context())
	}
	far = <-fars
	for _, m := range []met{near, far} {
		if m.s != nil {
			t.Cleanup(func() { m.s.Shutdown(context.Background(), nil) })
		}
	}
	return near, far
}

func TestTLSInfo(t *testing.T) {
	p := newPKI(t)
	cert, key := p.issue(t, "client", nil)
	near, far := meet(t, p.server(t, "&client_ca="+p.file("ca.pem")+"&alpn=h2&alpn=imap"), func(l *Listener) Address {
		return p.to(t, l, "&sni=localhost&alpn=imap&cert="+cert+"&key="+key)
	})
	if near.err != nil || far.err != nil {
		t.Fatal(near.err, far.err)
	}
	for _, c := range []struct {
		met
		peer string
	}{{near, "server"}, {far, "client"}} {
		i := c.info
		if i.Version != "TLS 1.3" || i.SNI != "localhost" || i.ALPN != "imap" || i.Resumed || i.Cipher == "" || !i.Verified || i.Stale != nil {
			t.Errorf("%+v", i)
		}
		if i.Subject != "CN="+c.peer || len(i.SPKI) != 44 || strings.Join(i.SANs, " ") !=
			"DNS:localhost DNS:"+c.peer+".example.com URI:spiffe://test/"+c.peer+" IP:127.0.0.1 email:"+c.peer+"@example.com" {
			t.Errorf("%+v", i)
		}
		if again, ok := c.s.TLSInfo(); !ok || again.SPKI != i.SPKI {
			t.Errorf("%+v, %v", again, ok)
		}
	}
}

// What does not fit is said on both sides, and whose fault it is.
func TestTLSRefusals(t *testing.T) {
	p, other := newPKI(t), newPKI(t)
	cert, key := p.issue(t, "client", nil)
	strange, strangeKey := other.issue(t, "client", nil)
	old, oldKey := p.issue(t, "old", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	shown := "&cert=" + cert + "&key=" + key
	ask := "&client_ca=" + p.file("ca.pem")
	for name, c := range map[string]struct {
		far, near         string // options
		farSays, nearSays string // "": is content
	}{
		"plain":            {},
		"1.2 and 1.3":      {far: "&min=1.3"},
		"client":           {far: ask, near: shown},
		"optional":         {far: ask + "&client_auth=optional"},
		"unknown server":   {near: "&ca=" + other.file("ca.pem"), nearSays: "an authority that is not trusted here", farSays: "it does not accept our certificate (bad certificate)"},
		"another name":     {near: "&sni=other.example.org", nearSays: "certificate is valid for localhost, server.example.com, not other.example.org", farSays: "it does not accept our certificate"},
		"no client":        {far: ask, farSays: "client didn't provide a certificate"},
		"unknown client":   {far: ask, near: "&cert=" + strange + "&key=" + strangeKey, farSays: "an authority that is not trusted here"},
		"expired client":   {far: ask, near: "&cert=" + old + "&key=" + oldKey, farSays: "certificate has expired"},
		"another optional": {far: ask + "&client_auth=optional", near: "&cert=" + strange + "&key=" + strangeKey, farSays: "an authority that is not trusted here"},
		"alpn":             {far: "&alpn=h2", near: "&alpn=imap", farSays: "client requested unsupported application protocols", nearSays: "it has none of our protocols"},
		"allowed name":     {far: ask + "&allow_cn=nobody&allow_san=DNS:*.example.com", near: shown},
		"allowed uri":      {far: ask + "&allow_san=URI:spiffe://test/client", near: shown},
		"allowed server":   {near: "&allow_san=DNS:server.example.com"},
		"not allowed":      {far: ask + "&allow_cn=nobody&allow_san=DNS:*.example.org", near: shown, farSays: "is not one that is allowed: it has CN:client, DNS:localhost"},
		"other server":     {near: "&allow_cn=*.example.com", nearSays: "is not one that is allowed: it has CN:server", farSays: "it does not accept our certificate"},
		"optional listed":  {far: ask + "&client_auth=optional&allow_cn=nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := meet(t, p.server(t, c.far), func(l *Listener) Address {
				if strings.Contains(c.near, "&ca=") {
					return address(t, "tls://"+l.Addr().address()+"?"+c.near[1:])
				}
				return p.to(t, l, c.near)
			})
			for _, side := range []struct {
				name string
				met
				says string
			}{{"near", near, c.nearSays}, {"far", far, c.farSays}} {
				var e *TLSError
				switch {
				case side.says == "" && side.err == nil:
				case side.says == "" || side.err == nil || !strings.Contains(side.err.Error(), side.says) || !errors.As(side.err, &e):
					t.Errorf("%s: %v; want %q", side.name, side.err, side.says)
				}
			}
			if c.farSays != "" && near.err == nil {
				// A client of TLS 1.3 is through before it is refused.
				r, _ := halves(t, near.s)
				var e *TLSError
				if _, err := r.Read(make([]byte, 1)); !errors.As(err, &e) || !strings.Contains(err.Error(), "the peer refuses") {
					t.Errorf("the near side's Read: %v", err)
				}
			}
		})
	}
}

// However many names a peer has, and has not got anywhere with, what is said of them
// has the length of a line.
func TestTLSRefusalsAreShort(t *testing.T) {
	p := newPKI(t)
	cert, key := p.issue(t, "client", func(c *x509.Certificate) {
		for i := range 1000 {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("a-name-among-many-%d.example.com", i))
		}
	})
	var protocols []string
	for i := range 200 {
		protocols = append(protocols, fmt.Sprintf("%0200d", i))
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	for options, client := range map[string]*tls.Config{
		"&alpn=h2": {NextProtos: protocols},
		"&verify=pin&allow_spki=" + strings.Repeat("A", 43) + "%3D": {Certificates: []tls.Certificate{pair}},
	} {
		l, err := Listen(t.Context(), p.server(t, options), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Drop(t.Context())
		s, peer := accepted(t, l)
		client.InsecureSkipVerify = true
		go tls.Client(peer, client).Handshake()
		var e *TLSError
		if _, err := s.Handshake(t.Context()); !errors.As(err, &e) || e.Err == nil || len(err.Error()) > 1000 || len(e.Err.Error()) < 10_000 {
			t.Errorf("%s: it is said in %d bytes: %.2000v", options, len(fmt.Sprint(err)), err)
		}
		peer.Close()
		drop(t, s.dropOnly)
		within(t, s.node.Done(), "the release")
	}
}

// Peers that do not speak TLS, and those that end.
func TestTLSSpokenTo(t *testing.T) {
	p := newPKI(t)
	l, err := Listen(t.Context(), p.server(t, ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Drop(t.Context())
	for said, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n":      "the peer does not speak TLS: it sends a plain HTTP request",
		"SSH-2.0-OpenSSH_9.9\r\n":                "the peer does not speak TLS: it speaks SSH",
		"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n": "the peer does not speak TLS: it sends a PROXY header",
		"\x00\x00\x00\x00\x00\x00\x00":           "the peer does not speak TLS: its first bytes are no ClientHello",
		"":                                       "the peer ended the connection during the handshake",
		"\x16\x03\x01\x00\x05\x01":               "the peer ended the connection during the handshake",
		"\x16\x03\x01\x40\x00" + strings.Repeat("x", 1<<14): "no handshake",
		// A ClientHello that says it has 16 MB.
		"\x16\x03\x01\x00\x04\x01\xff\xff\xff": "no handshake",
	} {
		s, peer := accepted(t, l)
		if _, err := io.WriteString(peer, said); err != nil {
			t.Fatal(err)
		}
		peer.(*net.TCPConn).CloseWrite()
		var e *TLSError
		if _, err := s.Handshake(t.Context()); !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.10q: %v; want %s", said, err, want)
		}
		drop(t, s.dropOnly)
		within(t, s.node.Done(), "the release")
		if _, err := io.Copy(io.Discard, peer); err != nil {
			t.Errorf("%.10q: the peer, which may have been told why, saw %v", said, err)
		}
		peer.Close()
	}
}

// A handshake is bounded by its context, a drop and a shutdown.
func TestTLSHandshakeEnds(t *testing.T) {
	p := newPKI(t)
	l, err := Listen(t.Context(), p.server(t, ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Drop(t.Context())
	begin := func(ctx context.Context) (*Socket, <-chan error) {
		s, peer := accepted(t, l)
		t.Cleanup(func() { peer.Close() })
		done := make(chan error, 1)
		go func() {
			_, err := s.Handshake(ctx)
			done <- err
		}()
		blocked(t, s.Resource())
		return s, done
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	s, done := begin(ctx)
	if err := told(t, done); !IsTimeout(err) || !strings.Contains(err.Error(), "not over in time") {
		t.Error(err)
	}
	if _, err := s.Handshake(t.Context()); !IsTimeout(err) {
		t.Errorf("again: %v", err)
	}
	s.Shutdown(t.Context(), errTest)

	s, done = begin(t.Context())
	go s.Drop(t.Context())
	if err := told(t, done); !errors.Is(err, lifetime.ErrDropped) {
		t.Error(err)
	}
	s.Shutdown(t.Context(), errTest)

	s, done = begin(t.Context())
	s.Shutdown(t.Context(), errTest)
	if err := told(t, done); !errors.Is(err, errTest) && !errors.Is(err, lifetime.ErrShutdown) {
		t.Error(err)
	}
}

// The end of TCP is not the end of the stream, wherever it comes: between two
// records, or in one.
func TestTLSWithoutCloseNotify(t *testing.T) {
	for name, last := range map[string]string{"between records": "", "in a record": "\x17\x03\x03\x00\x40xxxx"} {
		t.Run(name, func(t *testing.T) {
			s, peer := connect(t, tlsKind(t), lifetime.Refcount)
			r, w := halves(t, s)
			raw := peer.(tlsPeer).TCPConn
			peer.Write([]byte("all?"))
			io.WriteString(raw, last)
			raw.CloseWrite()
			want(t, r, "all?")
			for range 2 {
				if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, ErrNoCloseNotify) || !IsReset(err) || errors.Is(err, io.EOF) {
					t.Errorf("Read: %d, %v", n, err)
				}
			}
			drop(t, r.Drop, w.Drop, s.dropOnly)
			within(t, s.node.Done(), "the release")
			if s.node.End() != lifetime.Failed {
				t.Errorf("the end is %v", s.node.End())
			}
		})
	}
}

// A shutdown and an abort say no close_notify: the peer must not take what it has
// for the whole stream.
func TestTLSAbortSaysNoEnd(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *Socket, *WriteHalf){
		"abort":    func(t *testing.T, s *Socket, w *WriteHalf) { w.Abort() },
		"shutdown": func(t *testing.T, s *Socket, w *WriteHalf) { s.Shutdown(t.Context(), errTest) },
	} {
		t.Run(name, func(t *testing.T) {
			s, peer := connect(t, tlsKind(t), lifetime.Refcount)
			r, w := halves(t, s)
			w.Write([]byte("half"))
			want(t, peer, "half")
			end(t, s, w)
			if n, err := peer.Read(make([]byte, 1)); n != 0 || err == io.EOF {
				t.Errorf("the peer read %d, %v", n, err)
			}
			r.Drop(t.Context())
			s.Drop(t.Context())
			within(t, s.node.Done(), "the release")
		})
	}
}

// A half that is dropped while the system has no room says its end later, and
// nobody waits for it: not who drops, and not the other half.
func TestTLSEndWaitsForRoom(t *testing.T) {
	s, peer := connect(t, newPKI(t).server(t, "&sndbuf=64KiB").String(), lifetime.Refcount)
	peer.(interface{ SetReadBuffer(int) error }).SetReadBuffer(64 << 10) // or the system makes room later
	r, w := halves(t, s)
	wrote := fill(t, s.t)
	if s.t.(*tlsTransport).held.Load() == 0 {
		t.Fatal("there is room: this test shows nothing")
	}
	drop(t, w.Drop)
	peer.Write([]byte("on"))
	want(t, r, "on")
	if w.node.State() != lifetime.Draining {
		t.Errorf("the write half is %v", w.node.State())
	}
	if n, err := io.Copy(io.Discard, peer); int(n) != wrote || err != nil {
		t.Errorf("the peer got %d of %d bytes: %v", n, wrote, err)
	}
	peer.Close()
	drop(t, r.Drop, s.dropOnly)
	within(t, s.node.Done(), "the release")
	if s.node.Err() != nil && s.node.End() == lifetime.Failed {
		t.Errorf("the end is %v", s.node.Err())
	}
}

// And a peer that takes nothing is given up, as of any kind.
func TestTLSTruncated(t *testing.T) {
	s, peer := connect(t, tlsKind(t), lifetime.Refcount)
	r, w := halves(t, s)
	fill(t, s.t)
	drop(t, r.Drop, w.Drop, s.dropOnly)
	within(t, s.node.Done(), "the release")
	var cut *TruncatedError
	if err := s.node.Err(); !errors.As(err, &cut) || cut.Unsent == 0 {
		t.Errorf("the end is %v, %v", s.node.End(), err)
	}
	if _, err := io.Copy(io.Discard, peer); err == nil {
		t.Error("the peer saw a clean end of a stream that was cut")
	}
}

// A slowWire holds back what comes after the first bytes of each write, while it
// is told to.
type slowWire struct {
	net.Conn
	slow bool
	rest []byte
}

func (w *slowWire) Write(b []byte) (int, error) {
	if !w.slow {
		return w.Conn.Write(b)
	}
	w.rest = append(w.rest, b[10:]...)
	_, err := w.Conn.Write(b[:10])
	return len(b), err
}

// Ready tells what is for the reader from what is not: part of a record has
// arrived, and a Read would wait.
func TestTLSReady(t *testing.T) {
	l, err := Listen(t.Context(), address(t, tlsKind(t)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Drop(t.Context())
	s, c := accepted(t, l)
	wire := &slowWire{Conn: c}
	peer := tls.Client(wire, &tls.Config{InsecureSkipVerify: true})
	defer peer.Close()
	shaken(t, s, tlsPeer{peer, c.(*net.TCPConn)})
	r, w := halves(t, s)
	k := kernelOf(s.t)
	wire.slow = true
	peer.Write([]byte("abc"))
	for !k.ready() {
	}
	if r.Ready() {
		t.Error("part of a record is taken for bytes to read")
	}
	read := blockedRead(t, r)
	if r.Ready() {
		t.Error("ready while a Read waits")
	}
	c.Write(wire.rest)
	if err := told(t, read); err != nil {
		t.Fatal(err)
	}
	wire.slow = false
	peer.Write([]byte("d"))
	for !r.Ready() {
	}
	want(t, r, "bc")
	for !r.Ready() {
	}
	want(t, r, "d")
	if r.Ready() {
		t.Error("ready with nothing")
	}
	peer.Close()
	for !r.Ready() {
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("%d, %v", n, err)
	}
	drop(t, r.Drop, w.Drop, s.dropOnly)
	within(t, s.node.Done(), "the release")
}

// A copy lets go of TLS at any moment, and goes on where it was.
func TestTLSYields(t *testing.T) {
	const size = 8 << 20
	data := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	s, peer := connect(t, tlsKind(t), lifetime.Refcount)
	r, w := halves(t, s)
	go func() {
		peer.Write(data)
		peer.CloseWrite()
	}()
	got := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(peer)
		got <- b
	}()
	stop := make(chan struct{})
	nagged := make(chan struct{})
	go func() {
		defer close(nagged)
		for {
			select {
			case <-stop:
				return
			default:
				r.Yield()
				jitter()
			}
		}
	}()
	yields := 0
	var m Moved
	for {
		_, err := Copy(w, r, &m)
		if err == ErrYielded {
			yields++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	close(stop)
	<-nagged
	drop(t, w.Drop, r.Drop, s.dropOnly)
	if b := <-got; !bytes.Equal(b, data) || yields == 0 {
		t.Errorf("%d of %d bytes came back, after %d yields", len(b), size, yields)
	}
	within(t, s.node.Done(), "the release")
}

// What a listener and a dialer need to begin is said when they are made.
func TestTLSFiles(t *testing.T) {
	p := newPKI(t)
	cert, key := p.issue(t, "server", nil)
	_, otherKey := p.issue(t, "other", nil)
	empty := filepath.Join(p.dir, "empty")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"cert=/nowhere&key=" + key:                           `option "cert": /nowhere: no such file or directory`,
		"cert=" + cert + "&key=/nowhere":                     `option "key": /nowhere: no such file or directory`,
		"cert=" + cert + "&key=" + otherKey:                  `option "key": ` + otherKey + ": private key does not match public key",
		"cert=" + empty + "&key=" + key:                      `option "cert": ` + empty + ": has no certificate in PEM",
		"cert=" + cert + "&key=" + empty:                     `option "key": ` + empty + ": failed to find any PEM data in key input",
		"cert=" + cert + "&key=" + p.dir:                     `option "key": ` + p.dir + ": is not a file",
		"tunnel_key=" + empty:                                `option "tunnel_key": ` + empty + ": is not 32 random bytes",
		"cert=" + cert + "&key=" + key + "&client_ca=" + key: `option "client_ca": ` + key + ": has no certificate in PEM",
	} {
		a := address(t, "tls://127.0.0.1:0?"+query)
		if _, err := Listen(t.Context(), a, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", query, err, want)
		}
	}
	if _, err := NewDialer(address(t, "tls://127.0.0.1:1?ca="+empty)); err == nil || !strings.Contains(err.Error(), "has no certificate") {
		t.Error(err)
	}
	for query, want := range map[string]string{
		"":                             "it has no certificate",
		"cert=/c&ca=/c":                `option "ca" is for dialling`,
		"cert=/c&verify=insecure":      "verify=insecure is for dialling",
		"cert=/c&verify=pin":           `verify=pin goes with "allow_spki"`,
		"cert=/c&client_auth=optional": `option "client_auth" goes with "client_ca"`,
		"cert=/c&allow_cn=x":           "whom to allow is known by certificates",
		"key=/c":                       `option "key" goes with "cert"`,
		"tunnel_key=/c&cert=/c":        `option "cert" does not go with a tunnel's key`,
		"tunnel_key=/c&identity=/c":    "the ends share a key, or each has its own",
		"identity=/c":                  `options "identity" and "peer" go together`,
	} {
		if err := address(t, strings.TrimSuffix("tls://127.0.0.1:1?"+query, "?")).Listenable(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", query, err, want)
		}
	}
}
