package tap

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"relayd/relay"
	"relayd/socket"
	"relayd/tests/leak"
	"relayd/transform/pcapng/pcapngtest"
)

const patience = 20 * time.Second

// relayed is a conn through a relay to an echo.
func relayed(t *testing.T) (s *relay.Server, id string, c *net.TCPConn) {
	t.Helper()
	listen, err := socket.ParseAddress("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	echo, err := socket.ParseAddress("echo:")
	if err != nil {
		t.Fatal(err)
	}
	s, err = relay.Start(t.Context(), relay.Config{Listen: []socket.Address{listen}, To: echo})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		now, stop := context.WithCancel(context.Background())
		stop()
		s.Drain(now)
	})
	at := s.Addrs()[0]
	nc, err := net.Dial("tcp", net.JoinHostPort(at.Host, strconv.Itoa(int(at.Port))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	c = nc.(*net.TCPConn)
	echoes(t, c, "first")
	return s, s.Conns()[0].ID, c
}

func echoes(t *testing.T, c net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("got %q, %v", got, err)
	}
}

// feed opens a feed and reads it at the other end of a pipe.
func feed(t *testing.T, s *relay.Server, id string, o relay.TapOptions) (r *Reader, sent <-chan error) {
	t.Helper()
	f, err := Open(s, id, o)
	if err != nil {
		t.Fatal(err)
	}
	from, to := io.Pipe()
	result := make(chan error, 1)
	go func() {
		defer f.Close()
		err := f.Send(t.Context(), to, func() error { return nil })
		to.Close()
		result <- err
	}()
	r, err = NewReader(from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { from.Close() })
	return r, result
}

// What a watcher reads is what the conn relays, to its end, and a capture of it
// is one TCP stream with both directions.
func TestFeed(t *testing.T) {
	leak.Check(t)
	s, id, c := relayed(t)
	r, sent := feed(t, s, id, relay.TapOptions{})
	if h := r.Header; h.ID != id || h.Client != c.LocalAddr().String() || h.Upstream != "echo:" || h.Side != "client" {
		t.Errorf("the header is %+v", h)
	}
	var file bytes.Buffer
	capture, err := NewCapture(&file, r.Header, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	echoes(t, c, "second\x00\xff")
	c.CloseWrite()
	if b, err := io.ReadAll(c); len(b) > 0 || err != nil {
		t.Fatalf("at the end: %q, %v", b, err)
	}
	got := map[string]string{}
	for {
		e, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Data) > 0 && e.Offset < 5 {
			t.Errorf("the offset is %d, after 5 bytes", e.Offset)
		}
		got[e.From] += string(e.Data) + e.End
		if err := capture.Add(e); err != nil {
			t.Error(err)
		}
	}
	for from, want := range map[string]string{"client": "second\x00\xfffin", "upstream": "second\x00\xfffin", "us": "eof"} {
		if got[from] != want {
			t.Errorf("seen %q from %s, want %q", got[from], from, want)
		}
	}
	if err := <-sent; err != nil {
		t.Errorf("Send: %v", err)
	}
	streams, err := pcapngtest.Read(file.Bytes())
	if err != nil || len(streams) != 1 {
		t.Fatalf("the capture has %d streams, %v", len(streams), err)
	}
	x := streams[0]
	if string(x.Client.Bytes) != "second\x00\xff" || string(x.Upstream.Bytes) != "second\x00\xff" || !x.Client.Finished || !x.Upstream.Finished || x.Reset {
		t.Errorf("the capture is %+v", x)
	}
}

// A watcher that goes ends its tap, and the conn does not notice.
func TestWatcherGoes(t *testing.T) {
	leak.Check(t)
	s, id, c := relayed(t)
	f, err := Open(s, id, relay.TapOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	sent := make(chan error, 1)
	go func() { sent <- f.Send(ctx, io.Discard, func() error { return nil }) }()
	echoes(t, c, "watched")
	stop()
	if err := <-sent; !errors.Is(err, context.Canceled) {
		t.Errorf("Send: %v", err)
	}
	f.Close()
	echoes(t, c, "not watched")

	// One whose connection fails.
	f, err = Open(s, id, relay.TapOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	from, to := io.Pipe()
	from.Close()
	if err := f.Send(t.Context(), to, func() error { return nil }); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Send to nobody: %v", err)
	}
}

func TestOpenOfNone(t *testing.T) {
	s, _, _ := relayed(t)
	if _, err := Open(s, "none", relay.TapOptions{}); err != relay.ErrNoConn {
		t.Errorf("a tap of no conn: %v", err)
	}
}

// A stream that is cut, or is none, is no end.
func TestBadStreams(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want string
	}{
		"nothing":     {"", "unexpected EOF"},
		"html":        {"<html>", "not the stream of a tap"},
		"no header":   {`{"at":"2026-11-23T14:03:07Z"}`, "does not begin with a conn"},
		"a long line": {strings.Repeat("x", maxLine+1), "too long"},
	} {
		if _, err := NewReader(strings.NewReader(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	r, err := NewReader(strings.NewReader(`{"conn":{"id":"x"}}` + "\n" + `{"from":"client","data":"eA=="}` + "\n" + `{"from":`))
	if err != nil {
		t.Fatal(err)
	}
	if e, err := r.Next(); err != nil || string(e.Data) != "x" {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := r.Next(); err == nil || err == io.EOF {
		t.Errorf("half a line: %v", err)
	}
}

// Bytes that were missed are a gap in the capture, not a silent join.
func TestCaptureOfMissed(t *testing.T) {
	var file bytes.Buffer
	c, err := NewCapture(&file, Header{ID: "x", Client: "10.0.0.1:1", Upstream: "10.0.0.2:2"}, noon)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []Event{
		{At: noon, From: "client", Data: []byte("before")},
		{At: noon, From: "client", Missed: 1000, Data: []byte("after")},
	} {
		if err := c.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	_, err = pcapngtest.Read(file.Bytes()) // it is strict
	if err == nil || !strings.Contains(err.Error(), "sequence number") {
		t.Errorf("a capture with a gap reads as whole: %v", err)
	}
}
