package preface

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"relayd/socket"
)

var (
	loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	others   = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("::1/128")}
)

// connect returns an accepted socket and its client.
func connect(t *testing.T, at string) (*socket.Socket, net.Conn) {
	t.Helper()
	a, err := socket.ParseAddress(at)
	if err != nil {
		t.Fatal(err)
	}
	l, err := socket.Listen(t.Context(), a, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Drop(t.Context())
	to := l.Addr()
	network, address := "tcp", to.String()
	if to.Kind == socket.Unix {
		network, address = "unix", to.Path
	} else {
		address = strings.TrimPrefix(address, "tcp://")
	}
	client, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s, err := in.Open(socket.At{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		s.Drop(context.Background())
		<-s.Resource().Done()
	})
	return s, client
}

// rest is what is left of the stream when its client has finished.
func rest(t *testing.T, s *socket.Socket, client net.Conn) string {
	t.Helper()
	client.(interface{ CloseWrite() error }).CloseWrite()
	r, err := s.Receive()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Drop(t.Context())
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

func TestRead(t *testing.T) {
	hello := record(message(sni("a.example")))
	header := &Header{Version: 1, Source: addrPort("192.0.2.1:56324"), Destination: addrPort("198.51.100.2:443")}
	named := &Hello{ServerName: "a.example"}
	dir := t.TempDir()
	for name, test := range map[string]struct {
		at   string // the default is TCP
		send string
		o    Options
		want Result
		err  error
		left string
	}{
		"nothing wanted":        {send: tcp1 + "x", left: tcp1 + "x"},
		"a header":              {send: tcp1 + "x", o: Options{ProxyFrom: loopback}, want: Result{Header: header}, left: "x"},
		"no header":             {send: "GET / HTTP/1.1\r\n", o: Options{ProxyFrom: loopback}, err: ErrNoHeader, left: "GET / HTTP/1.1\r\n"},
		"not trusted":           {send: tcp1 + "x", o: Options{ProxyFrom: others}, left: tcp1 + "x"},
		"a header and TLS":      {send: tcp1 + hello, o: Options{ProxyFrom: loopback, Hello: true}, want: Result{Header: header, Hello: named}, left: hello},
		"TLS":                   {send: hello + "x", o: Options{Hello: true}, want: Result{Hello: named}, left: hello + "x"},
		"not TLS":               {send: "GET / HTTP/1.1\r\n", o: Options{Hello: true}, want: Result{NotTLS: "HTTP without TLS"}, left: "GET / HTTP/1.1\r\n"},
		"not trusted, TLS":      {send: tcp1, o: Options{ProxyFrom: others, Hello: true}, want: Result{NotTLS: "a PROXY header"}, left: tcp1},
		"an end":                {o: Options{Hello: true}, err: io.EOF},
		"an end after a header": {send: tcp1, o: Options{ProxyFrom: loopback, Hello: true}, want: Result{Header: header}, err: io.EOF},
		"half a header":         {send: "PROXY TCP4", o: Options{ProxyFrom: loopback}, err: io.ErrUnexpectedEOF, left: "PROXY TCP4"},
		"a Unix socket":         {at: dir + "/s", send: tcp1 + "x", o: Options{ProxyFrom: others}, want: Result{Header: header}, left: "x"},
		"IPv6":                  {at: "[::1]:0", send: tcp1 + "x", o: Options{ProxyFrom: others}, want: Result{Header: header}, left: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.at == "" {
				test.at = "127.0.0.1:0"
			}
			s, client := connect(t, test.at)
			io.WriteString(client, test.send)
			if test.err == io.EOF || test.err == io.ErrUnexpectedEOF {
				client.(interface{ CloseWrite() error }).CloseWrite()
			}
			got, err := Read(t.Context(), s, s.RemoteAddr(), test.o)
			if !reflect.DeepEqual(got, test.want) || !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
				t.Errorf("it is %+v, %v; want %+v, %v", got, err, test.want, test.err)
			}
			if idle := test.o.Idle(s.RemoteAddr()); idle && !reflect.DeepEqual(got, Result{}) {
				t.Errorf("Idle, and it has read %+v", got)
			}
			if left := rest(t, s, client); left != test.left {
				t.Errorf("%q is left, want %q", left, test.left)
			}
		})
	}
}

// Time is for all of it, and then all that came is still there.
func TestReadIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		s, err := socket.FromConn(ours, socket.At{})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		go func() {
			<-time.After(2 * time.Second)
			io.WriteString(theirs, tcp1+"\x16\x03")
		}()
		r, err := Read(t.Context(), s, s.RemoteAddr(), Options{ProxyFrom: others, Hello: true})
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("it took %v", took)
		}
		if !socket.IsTimeout(err) || !errors.Is(err, context.DeadlineExceeded) || !strings.HasSuffix(err.Error(), "ClientHello: it was not there within 3s") {
			t.Errorf("it ended with %v", err)
		}
		if r.Header == nil {
			t.Error("the header is lost")
		}
		h, err := s.Receive()
		if err != nil {
			t.Fatal(err)
		}
		theirs.Close()
		if left, err := io.ReadAll(h); string(left) != "\x16\x03" || err != nil {
			t.Errorf("%q is left, %v", left, err)
		}
		h.Drop(t.Context())
		s.Drop(t.Context())
	})
}

// Who is asked for a header, and who may send none. An address that nobody knows is
// not a reason to believe.
func TestSources(t *testing.T) {
	mapped := []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")}
	for _, test := range []struct {
		from          []netip.Prefix
		source, local string
		expects, idle bool
	}{
		{nil, "127.0.0.1:1", "127.0.0.1:2", false, true},
		{nil, "", "/s", false, true},
		{loopback, "127.0.0.1:1", "127.0.0.1:2", true, false},
		{loopback, "[::ffff:127.0.0.1]:1", "[::1]:2", true, false},
		{loopback, "192.0.2.1:1", "127.0.0.1:2", false, true},
		{others, "192.0.2.255:1", "127.0.0.1:2", true, false},
		{others, "[::1%lo]:1", "[::1%lo]:2", true, false},
		{mapped, "10.1.2.3:1", "10.0.0.1:2", true, false},
		{mapped, "11.1.2.3:1", "10.0.0.1:2", false, true},
		{others, "", "/run/s", true, false},
		{others, "@", "@abstract", true, false},
		{others, "", "127.0.0.1:2", false, false},
		{others, "", "", false, false},
	} {
		o := Options{ProxyFrom: test.from}
		if expects, idle := o.expects(test.source, test.local), o.Idle(test.source); expects != test.expects || idle != test.idle {
			t.Errorf("from %v, of %q at %q: a header is expected: %v, and it is idle: %v", test.from, test.source, test.local, expects, idle)
		}
		if o.Hello = true; o.Idle(test.source) {
			t.Error("nothing to read, and a ClientHello is wanted")
		}
	}
}

// A handshake whose ClientHello was looked at goes on as if nobody had, and what is
// told of it is what the server is told.
func TestReadBeforeAHandshake(t *testing.T) {
	s, client := connect(t, "127.0.0.1:0")
	ended := make(chan error, 1)
	go func() {
		io.WriteString(client, tcp1)
		c := tls.Client(client, &tls.Config{ServerName: "a.example", NextProtos: []string{"x"}, InsecureSkipVerify: true})
		ended <- c.Handshake()
	}()
	r, err := Read(t.Context(), s, s.RemoteAddr(), Options{ProxyFrom: loopback, Hello: true})
	if err != nil {
		t.Fatal(err)
	}
	c, err := socket.NewConn(s)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	server := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate(t)}, NextProtos: []string{"x"}})
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if state := server.ConnectionState(); state.ServerName != r.Hello.ServerName || state.NegotiatedProtocol != r.Hello.ALPN[0] {
		t.Errorf("%+v, and the server has %q, %q", r.Hello, state.ServerName, state.NegotiatedProtocol)
	}
}
