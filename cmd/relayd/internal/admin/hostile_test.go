package admin

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// A thousand connections that ask nothing are bounded in number; others are
// served in the meantime, and the relay goes on.
func TestIdleClientsMakeRoom(t *testing.T) {
	r := start(t)
	at := r.api.Addrs()[0].Path
	var idle []net.Conn
	for range 1000 {
		c, err := net.Dial("unix", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "GET /healthz HTTP/1.1\r\nX-")
		idle = append(idle, c)
	}
	if _, err := r.client.Conns(t.Context(), nil); err != nil {
		t.Error(err)
	}
	r.dial(t)
	l := r.api.listeners[0]
	l.mu.Lock()
	n := len(l.list)
	l.mu.Unlock()
	if n > maxClients {
		t.Errorf("%d connections are held", n)
	}
	for _, c := range idle {
		c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, c); os.IsTimeout(err) {
			t.Fatal("one is not let go")
		}
	}
}

// Who may not ask is not kept, and the answer has neither token.
func TestWrongTokenIsLetGo(t *testing.T) {
	r := start(t, Listen{Address: address(t, "127.0.0.1:0"), Token: "0123456789abcdef"})
	c, err := net.Dial("tcp", strings.TrimPrefix(r.api.Addrs()[1].String(), "tcp://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer fedcba9876543210\r\n\r\n")
	answer, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 401") {
		t.Errorf("%q, %v", answer, err)
	}
	for _, secret := range []string{"0123456789abcdef", "fedcba9876543210"} {
		if strings.Contains(string(answer), secret) {
			t.Errorf("the answer is %s", answer)
		}
	}
}

// A page in a browser is refused, with the token or without, whatever name it
// came by.
func TestPagesAreRefused(t *testing.T) {
	const token = "0123456789abcdef"
	r := start(t, Listen{Address: address(t, "127.0.0.1:0"), Token: token})
	for i, at := range r.api.Addrs() {
		r.client = client(t, at, token)
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			answer := r.ask(t, method, "/v1/drain", "", http.Header{"Origin": {"http://evil.example"}, "Authorization": {"Bearer " + token}})
			answer.Body.Close()
			if answer.StatusCode != 403 || answer.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%d: %s is answered with %s", i, method, answer.Status)
			}
		}
	}
	if r.drain.Progress().Draining {
		t.Error("a page has drained it")
	}
}

// The socket is its owner's alone.
func TestSocketIsItsOwners(t *testing.T) {
	r := start(t)
	info, err := os.Stat(r.api.Addrs()[0].Path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// FuzzRequest sends anything as the bytes of a connection. Whatever it is, the
// API answers the next one.
func FuzzRequest(f *testing.F) {
	for _, text := range []string{
		"GET /v1/conns?state=open HTTP/1.1\r\nHost: x\r\n\r\n", "GET /v1/conns?state=%zz&state=open HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /v1/kill HTTP/1.1\r\nHost: x\r\nContent-Length: 34\r\n\r\n{\"filter\":{\"state\":\"half-closed\"}}", "POST /v1/kill HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"DELETE /v1/conns/\x1b[2J HTTP/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x00\xa5\x01", "",
	} {
		f.Add([]byte(text))
	}
	r := start(f)
	at := r.api.Addrs()[0].Path
	f.Fuzz(func(t *testing.T, sent []byte) {
		c, err := net.Dial("unix", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		c.Write(sent)
		c.(*net.UnixConn).CloseWrite()
		answer, err := http.ReadResponse(bufio.NewReader(io.LimitReader(c, 1<<20)), nil)
		if err == nil {
			if answer.Header.Get("Content-Type") == "application/json" && answer.StatusCode >= 500 && answer.StatusCode != 503 {
				t.Errorf("%q is answered with %s", sent, answer.Status)
			}
			answer.Body.Close()
		}
	})
}

// FuzzFilter gives the filter anything. It must not panic, and what it takes it
// writes as JSON that it takes, too.
func FuzzFilter(f *testing.F) {
	for _, text := range []string{"all=true", "state=open,client=10.0.0.0/8", "client=fe80::1%eth0", "older-than=1h,idle-for=-1s", "listener=\x1b]0;x\a", "=", ",", "route=a,route=b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := ParseFilter(text)
		if err != nil || !strings.Contains(text, "=") {
			return
		}
		written, err := filter.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if err := new(Filter).UnmarshalJSON(written); err != nil && !strings.Contains(string(written), "\ufffd") && !strings.Contains(string(written), `\ufffd`) {
			t.Errorf("%q is written %s, which says %v", text, written, err)
		}
	})
}

// A token is compared as a whole: neither the first sign that is wrong nor the
// last decides, and nothing but the scheme is cut off before. Nothing is measured:
// that it is by crypto/subtle the source says, and a busy machine would not.
func TestTokenIsComparedWhole(t *testing.T) {
	const token = "0123456789abcdef"
	for header, want := range map[string]bool{
		"Bearer " + token: true, "bearer " + token: true, "Bearer x123456789abcdef": false, "Bearer 0123456789abcdex": false,
		"Bearer  " + token: false, "Bearer " + token + " ": false, "Basic " + token: false, "Bearer": false, "": false, token: false,
	} {
		q := &http.Request{Header: http.Header{"Authorization": {header}}}
		if bears(q, token) != want {
			t.Errorf("%q: %v", header, !want)
		}
	}
	source, err := os.ReadFile("server.go")
	if err != nil || !strings.Contains(string(source), "subtle.ConstantTimeCompare([]byte(got), []byte(token))") {
		t.Errorf("it is compared in another way: %v", err)
	}
}

// An answer without an end is not read for ever, nor kept.
func TestEndlessAnswer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"conns":[{"id":"`)
		for err := error(nil); err == nil; {
			_, err = io.WriteString(w, strings.Repeat("x", 1<<10))
		}
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	defer func() {
		server.Close()
		<-ended
	}()
	c := client(t, address(t, ln.Addr().String()), "")
	c.most = 1 << 20
	if _, err := c.Conns(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "longer than 1048576 bytes") {
		t.Error(err)
	}
}

// An address with a zone is one that can be asked.
func TestClientOfZone(t *testing.T) {
	c, err := NewClient(address(t, "tcp://[fe80::1%lo]:1"), "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := c.Conns(ctx, nil); !errors.Is(err, context.Canceled) && !errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
}
