package tests

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"relayd/relay"
	"relayd/socket"
	"relayd/tests/leak"
	"relayd/tests/program"
)

// What a client sends ends with a FIN, and the answer comes all the same.

// A caller is a program that sends what it has, ends its side, and waits for
// the answer to end.
type caller struct {
	name string
	args func(socket.Address) []string
}

var (
	nc    = caller{"nc", ncArgs}
	socat = caller{"socat", socatArgs}
)

func ncArgs(a socket.Address) []string {
	if a.Kind == socket.Unix {
		return []string{"-N", "-U", a.Path}
	}
	return []string{"-N", a.Host, fmt.Sprint(a.Port)}
}

// socatArgs: socat waits half a second for the other direction, unless told.
func socatArgs(a socket.Address) []string {
	n, addr := network(a)
	to := "TCP:" + addr
	if n == "unix" {
		to = "UNIX-CONNECT:" + addr
	}
	return []string{"-t", "60", "-", to}
}

// answerAfterEOF is a handler that reads to the end before it says anything:
// what it got, by checksum, and then n bytes.
func answerAfterEOF(n int64) func(conn) {
	return func(c conn) {
		got := newSummer()
		if _, err := io.Copy(got, c); err != nil {
			return // and the answer lacks
		}
		fmt.Fprintln(c, got)
		io.Copy(c, bytesOf(2, n))
		c.CloseWrite()
	}
}

// checkAnswer calls the near end with n bytes, and wants the server's word that
// it got them, and n other bytes.
func checkAnswer(t *testing.T, p caller, near socket.Address, n int64) {
	t.Helper()
	word := strings.NewReader(sumOf(t, bytesOf(1, n)) + "\n")
	want, got := sumOf(t, io.MultiReader(word, bytesOf(2, n))), newSummer()
	call(t, bytesOf(1, n), got, program.Need(t, p.name), p.args(near)...)
	if got.String() != want {
		t.Errorf("the answer is %v, want %v", got, want)
	}
}

func TestHalfClose(t *testing.T) {
	for _, p := range []caller{nc, socat} {
		for _, f := range families(t) {
			for _, tunnel := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/tunnel=%v", p.name, f.name, tunnel), func(t *testing.T) {
					leak.Check(t)
					to := serve(t, f.any(t), answerAfterEOF(5))
					near, far := relays(t, f, to, tunnel)
					checkAnswer(t, p, near.addr(), 5)
					for _, r := range []*relayd{near, far} {
						if got := r.log.ends(t, 1); got["eof client"] != 1 {
							t.Errorf("ends: %v", got)
						}
					}
				})
			}
		}
	}
}

// Many times what all buffers on the way hold, each way.
func TestHalfCloseOf64MiB(t *testing.T) {
	const n = volume
	for _, f := range families(t) {
		for _, tunnel := range []bool{false, true} {
			p := nc
			if tunnel {
				p = socat
			}
			t.Run(fmt.Sprintf("%s/%s/tunnel=%v", p.name, f.name, tunnel), func(t *testing.T) {
				leak.Check(t)
				near, far := relays(t, f, serve(t, f.any(t), answerAfterEOF(n)), tunnel)
				checkAnswer(t, p, near.addr(), n)
				end := near.log.wait(t, "conn ended", 1)[0]
				if got := end.attrs["up_bytes"].Int64(); got != n {
					t.Errorf("up_bytes is %d, want %d", got, int64(n))
				}
				// The server's word is not part of the n.
				if got := end.attrs["down_bytes"].Int64(); got <= n || got > n+100 {
					t.Errorf("down_bytes is %d, want a little more than %d", got, int64(n))
				}
				far.log.wait(t, "conn ended", 1)
			})
		}
	}
}

// The program at the far end is not ours either: sort says nothing before it
// has seen the end, and socat tells it of the end by a FIN.
func TestHalfCloseToSort(t *testing.T) {
	leak.Check(t)
	program.Need(t, "sort")
	path := program.Need(t, socat.name)
	to := serve(t, unixAddress(t), func(c conn) {
		// As a listener of its own socat would not say when it is ready.
		call(t, plain{c}, c, path, "-t", "60", "-", "EXEC:sort")
	})
	near, _ := relays(t, tcp4, to, false)
	var got bytes.Buffer
	call(t, strings.NewReader("b\nc\na\n"), &got, program.Need(t, nc.name), ncArgs(near.addr())...)
	if got.String() != "a\nb\nc\n" {
		t.Errorf("sorted: %q", got.String())
	}
}

// The server ends first, and the client goes on sending.
func TestServerEndsFirst(t *testing.T) {
	const n = 4 << 20
	for _, f := range families(t) {
		for _, tunnel := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/tunnel=%v", f.name, tunnel), func(t *testing.T) {
				leak.Check(t)
				received := make(chan string, 1)
				to := serve(t, f.any(t), func(c conn) {
					io.WriteString(c, "goodbye")
					c.CloseWrite()
					received <- sumOf(t, c)
				})
				near, far := relays(t, f, to, tunnel)
				c := dial(t, near.addr())
				if got, err := io.ReadAll(c); err != nil || string(got) != "goodbye" {
					t.Fatalf("got %q, %v; want goodbye and a clean end", got, err)
				}
				// Only now, with the other direction over at both relays.
				if _, err := io.Copy(c, bytesOf(3, n)); err != nil {
					t.Fatal(err)
				}
				finish(t, c, "")
				if got, want := <-received, sumOf(t, bytesOf(3, n)); got != want {
					t.Errorf("the server got %s, want %s", got, want)
				}
				for _, r := range []*relayd{near, far} {
					if got := r.log.ends(t, 1); got["eof upstream"] != 1 {
						t.Errorf("ends: %v", got)
					}
				}
			})
		}
	}
}

// An end without a byte is an end too.
func TestHalfCloseOfNothing(t *testing.T) {
	leak.Check(t)
	for _, tunnel := range []bool{false, true} {
		near, _ := relays(t, tcp4, serve(t, address(t, "127.0.0.1:0"), answerAfterEOF(0)), tunnel)
		c := dial(t, near.addr())
		finish(t, c, sumOf(t, strings.NewReader(""))+"\n")
	}
	r := startRelay(t, relay.Config{To: address(t, "discard:")})
	finish(t, dial(t, r.addr()), "")
}
