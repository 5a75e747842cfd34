package tests

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"relayd/relay"
	"relayd/socket"
	"relayd/tests/leak"
)

// Tunnels: two relays with what compresses between them, one after another of
// all the codecs.

// A tunnel is the chains of one: what wraps on one side is unwrapped on the
// other, and the same back.
type tunnel struct{ wrap, unwrap string }

var tunnels = []tunnel{
	{"gzip", "gunzip"},
	{"zstd", "unzstd"},
	{"zstd:level=1,window=32k", "unzstd:window=32k"},
	{"s2", "uns2"},
	{"s2,zstd,gzip", "gunzip,unzstd,uns2"},
}

// ends starts the two relays of a tunnel that leads to a server.
func (n tunnel) ends(t *testing.T, f family, to socket.Address) (near, far *relayd) {
	t.Helper()
	far = startRelay(t, relay.Config{
		Listen: []socket.Address{f.any(t)},
		To:     to,
		Up:     stages(t, n.unwrap),
		Down:   stages(t, n.wrap),
	})
	near = startRelay(t, relay.Config{
		Listen: []socket.Address{f.any(t)},
		To:     far.addr(),
		Up:     stages(t, n.wrap),
		Down:   stages(t, n.unwrap),
	})
	return near, far
}

// What one types is answered before one types on.
func TestInteractiveTunnels(t *testing.T) {
	for _, n := range tunnels {
		t.Run(n.wrap, func(t *testing.T) {
			leak.Check(t)
			near, far := n.ends(t, tcp4, serve(t, address(t, "127.0.0.1:0"), echo))
			c := dial(t, near.addr())
			for i := range 1000 {
				exchange(t, c, string(rune('a'+i%26)))
			}
			exchange(t, c, strings.Repeat("and now a long line\n", 5000))
			finish(t, c, "")
			for _, r := range []*relayd{near, far} {
				if got := r.log.ends(t, 1); got["eof client"] != 1 {
					t.Errorf("ends: %v", got)
				}
			}
		})
	}
}

// Many times what all buffers on the way hold, each way, with the answer after
// the end of the question.
func TestTunnelsOf64MiB(t *testing.T) {
	const n = volume
	for _, tun := range tunnels {
		for _, f := range []family{tcp4, unix} {
			t.Run(tun.wrap+"/"+f.name, func(t *testing.T) {
				leak.Check(t)
				near, far := tun.ends(t, f, serve(t, f.any(t), answerAfterEOF(n)))
				askAfterEOF(t, n, near, far)
			})
		}
	}
}

// askAfterEOF sends n bytes and the end to the first of some relays, and wants the
// answer of answerAfterEOF(n), and that the conn has ended by itself at all of them.
func askAfterEOF(t *testing.T, n int64, relays ...*relayd) {
	t.Helper()
	c := dial(t, relays[0].addr())
	sum := newSummer()
	if _, err := io.Copy(c, io.TeeReader(bytesOf(1, n), sum)); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	want := sumOf(t, io.MultiReader(strings.NewReader(sum.String()+"\n"), bytesOf(2, n)))
	if got := sumOf(t, c); got != want {
		t.Errorf("the answer is %s, want %s", got, want)
	}
	for _, r := range relays {
		if got := r.log.ends(t, 1); got["eof client"] != 1 {
			t.Errorf("ends: %v", got)
		}
	}
}

// Both ways at once, of bytes that become a few: what is unpacked for one who
// does not read waits, and is not gathered.
func TestTunnelsBothWays(t *testing.T) {
	const n = volume
	text := func() io.Reader { return io.LimitReader(repeating("once upon a time there was a stream, "), n) }
	want := sumOf(t, text())
	for _, tun := range tunnels {
		t.Run(tun.wrap, func(t *testing.T) {
			leak.Check(t)
			near, _ := tun.ends(t, tcp4, serve(t, address(t, "127.0.0.1:0"), echo))
			c := dial(t, near.addr())
			sent := make(chan error, 1)
			go sendAll(c, text(), sent)
			if got := sumOf(t, c); got != want {
				t.Errorf("got %s back, want %s", got, want)
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
		})
	}
}

func sendAll(c conn, r io.Reader, done chan<- error) {
	_, err := io.Copy(c, r)
	if err == nil {
		err = c.CloseWrite()
	}
	done <- err
}

// repeating is a text again and again.
type repeating string

func (s repeating) Read(p []byte) (n int, err error) {
	for n < len(p) {
		n += copy(p[n:], s)
	}
	return n, nil
}

// When nobody says anything for a while, a frame ends by itself: what is on the
// wire is a whole frame then, and the decoder there can let go.
func TestSilentTunnelEndsItsFrame(t *testing.T) {
	leak.Check(t)
	for _, n := range []tunnel{{"zstd:idle=20ms", "unzstd"}, {"gzip:idle=20ms", "gunzip"}} {
		quiet := make(chan struct{})
		whole := make(chan string, 2)
		to := serve(t, address(t, "127.0.0.1:0"), func(c conn) {
			var wire bytes.Buffer
			buf := make([]byte, 4096)
			for range cap(whole) {
				for {
					k, err := c.Read(buf)
					if err != nil {
						whole <- err.Error()
						return
					}
					wire.Write(buf[:k])
					r, closeChain := stages(t, n.unwrap).Open(bytes.NewReader(wire.Bytes()))
					text, err := io.ReadAll(r)
					closeChain()
					if err == nil {
						whole <- string(text)
						break
					}
				}
				<-quiet
			}
			io.Copy(io.Discard, plain{c})
		})
		near := startRelay(t, relay.Config{To: to, Up: stages(t, n.wrap)})
		c := dial(t, near.addr())
		for _, want := range []string{"hello", "hellohello"} {
			if _, err := io.WriteString(c, "hello"); err != nil {
				t.Fatal(err)
			}
			if got := <-whole; got != want {
				t.Errorf("%s: on the wire is %q, want %q", n.wrap, got, want)
			}
			quiet <- struct{}{}
		}
		finish(t, c, "")
	}
}

// Ends that do not match fail at once, at the end that sees it, and say why.
func TestMismatchedTunnelFailsFast(t *testing.T) {
	leak.Check(t)
	for _, test := range []struct {
		n    tunnel
		want string
	}{
		{tunnel{"zstd", "gunzip"}, "gunzip: this is a zstd stream: the other end compresses with zstd, use unzstd"},
		{tunnel{"s2", "unzstd"}, "unzstd: this is an s2 stream: the other end compresses with s2, use uns2"},
		{tunnel{"gzip", "uns2"}, "uns2: this is a gzip stream: the other end compresses with gzip, use gunzip"},
		{tunnel{"", "unzstd"}, `unzstd: not a zstd stream: it begins with "G", which looks like text: the other end does not compress`},
	} {
		near, far := test.n.ends(t, tcp4, serve(t, address(t, "127.0.0.1:0"), echo))
		c := dial(t, near.addr())
		if _, err := io.WriteString(c, "G"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); err == nil {
			t.Errorf("%v: the client sees a clean end", test.n)
		}
		end := far.log.wait(t, "conn ended", 1)[0]
		if got := end.text("reason"); got != "stage-failed" {
			t.Errorf("%v: the reason is %s", test.n, got)
		}
		if got := end.text("err"); !strings.Contains(got, test.want) {
			t.Errorf("%v: the error is %s, want %s", test.n, got, test.want)
		}
		c.Close()
	}
}
