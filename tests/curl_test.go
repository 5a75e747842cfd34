package tests

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"testing"

	"relayd/relay"
	"relayd/tests/leak"
	"relayd/tests/program"
)

// A file that curl gets arrives as it is: what compresses, what does not, and
// both in turn; through a tunnel of each codec, a program and a module. Larger
// ones are carried, and timed, by go run ./tests/bench --carry 1GiB.
func TestCurl(t *testing.T) {
	curl := program.Need(t, "curl")
	for _, file := range []struct {
		name string
		size int64
		open func(size int64) io.Reader
	}{
		{"text", 8 << 20, func(size int64) io.Reader { return repeating("GET /item/1 HTTP/1.1 200\n") }},
		{"noise", 8 << 20, func(size int64) io.Reader { return bytesOf(4, size) }},
		{"mixed", 64 << 20, func(size int64) io.Reader {
			return &inTurn{of: 64 << 10, a: repeating("GET /\n"), b: bytesOf(5, size)}
		}},
	} {
		size := file.size
		if testing.Short() {
			size = 1 << 20
		}
		content := func() io.Reader { return io.LimitReader(file.open(size), size) }
		want := sumOf(t, content())
		for _, chain := range []tunnel{{"zstd", "unzstd"}, {"s2", "uns2"}, {"gzip", "gunzip"}, {"exec:cat", ""}, {guest + ",args=copy", ""}} {
			t.Run(file.name+"/"+chain.wrap, func(t *testing.T) {
				leak.Check(t)
				to := serve(t, address(t, "127.0.0.1:0"), func(c conn) {
					if _, err := http.ReadRequest(bufio.NewReader(plain{c})); err != nil {
						return
					}
					fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", size)
					io.Copy(c, plain{content()})
					c.CloseWrite()
					io.Copy(io.Discard, c)
				})
				var at *relayd
				if chain.unwrap != "" {
					at, _ = chain.ends(t, tcp4, to)
				} else {
					at = startRelay(t, relay.Config{To: to, Up: stages(t, chain.wrap), Down: stages(t, chain.wrap)})
				}
				got := newSummer()
				call(t, nil, got, curl, "-sS", "http://"+at.addr().Host+fmt.Sprintf(":%d/", at.addr().Port))
				if got.String() != want {
					t.Errorf("what arrives is %v, want %s", got, want)
				}
			})
		}
	}
}

// inTurn is so many bytes of one reader, and as many of another, again and again.
type inTurn struct {
	of   int
	n    int
	a, b io.Reader
}

func (r *inTurn) Read(p []byte) (int, error) {
	from := r.a
	if r.n/r.of%2 == 1 {
		from = r.b
	}
	n, err := from.Read(p[:min(len(p), r.of-r.n%r.of)])
	r.n += n
	return n, err
}
