// Carrying is a file that curl gets by HTTP, through stages: whether it arrives
// as it was, and how long it takes beside others' ways.

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A carriage is what is measured of one file on one way.
type carriage struct {
	took time.Duration
	err  error // it did not arrive, or not as it was
}

// carry gets each kind of file on each way, o.rounds times, and writes how long
// that took.
func (y *yard) carry(ctx context.Context, o options, t toolbox, out, log io.Writer) error {
	ways, err := t.ways()
	if err != nil {
		return err
	}
	if _, err := exec.LookPath("curl"); err != nil {
		return fmt.Errorf("--carry: %w: on Debian, apt-get install curl", err)
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	server := &http.Server{Handler: http.FileServer(http.Dir(y.dir))}
	go serveFiles(server, ln, served)
	defer func() { server.Close(); <-served }()
	fmt.Fprintf(out, "curl gets %d MiB by HTTP, and their SHA-256 is compared: time, and its ratio to %s in the same round (median of %d)\n",
		o.carry>>20, peerPair, o.rounds)
	for _, c := range contents {
		if o.only != nil && !o.only.MatchString(c.name) {
			continue
		}
		fmt.Fprintln(log, c.name)
		if err := y.carryContent(ctx, o, c, ways, ln.Addr().String(), out); err != nil {
			return err
		}
	}
	return nil
}

func serveFiles(s *http.Server, ln net.Listener, ended chan<- error) { ended <- s.Serve(ln) }

// carryContent is carry for one kind of file.
func (y *yard) carryContent(ctx context.Context, o options, c content, ways []peer, server string, out io.Writer) error {
	sum, err := c.write(filepath.Join(y.dir, c.name), o.carry)
	if err != nil {
		return err
	}
	defer os.Remove(filepath.Join(y.dir, c.name))
	all := make([][]carriage, len(ways))
	for round := range o.rounds {
		for i := range ways {
			i = (i + round) % len(ways)
			if ways[i].missing != nil {
				continue
			}
			took, err := y.carryOne(ctx, ways[i], server, c.name, sum)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			all[i] = append(all[i], carriage{took, err})
		}
	}
	lines := [][]string{{c.name, "s", "/" + peerPair, c.what}}
	for i, w := range ways {
		lines = append(lines, carried(w, all[i], all[0]))
	}
	var b strings.Builder
	b.WriteByte('\n')
	align(&b, lines)
	_, err = io.WriteString(out, b.String())
	return err
}

// carried is the line of one way.
func carried(w peer, mine, base []carriage) []string {
	if w.missing != nil {
		return []string{w.name, w.missing.Error()}
	}
	var times, ratios []float64
	for i, c := range mine {
		if c.err != nil {
			return []string{w.name, "FAILED: " + c.err.Error()}
		}
		times = append(times, c.took.Seconds())
		if base[i].err == nil {
			ratios = append(ratios, c.took.Seconds()/base[i].took.Seconds())
		}
	}
	return []string{w.name, fmt.Sprintf("%.2f", median(times)), fmt.Sprintf("%.2f", median(ratios)), w.what}
}

// carryOne gets a file once, on one way.
func (y *yard) carryOne(ctx context.Context, w peer, server, name string, sum [sha256.Size]byte) (time.Duration, error) {
	r, err := y.start(ctx, w, server, "")
	if err != nil {
		return 0, err
	}
	took, err := fetch(ctx, "http://"+r.addr+"/"+name, sum)
	if err != nil {
		err = r.explain(err)
	}
	return took, errors.Join(err, y.stop(r))
}

// fetch has curl get something whose sum is known.
func fetch(ctx context.Context, url string, want [sha256.Size]byte) (time.Duration, error) {
	var said strings.Builder
	got := sha256.New()
	cmd := exec.CommandContext(ctx, "curl", "-sS", "-H", "Connection: close", "--max-time", "300", url)
	cmd.Stdout, cmd.Stderr = got, &said
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	switch {
	case err != nil:
		return took, fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	case [sha256.Size]byte(got.Sum(nil)) != want:
		return took, errors.New("what arrives is something else")
	}
	return took, nil
}

// A content is a kind of file.
type content struct {
	name, what string
	fill       func(r *rand.ChaCha8, block []byte, n int)
}

// contents are the kinds of files, in blocks.
var contents = []content{
	{"text", "lines of a log", fillText},
	{"noise", "random bytes", func(r *rand.ChaCha8, block []byte, _ int) { r.Read(block) }},
	{"mixed", "blocks of both in turn", func(r *rand.ChaCha8, block []byte, n int) {
		if n%2 == 0 {
			fillText(r, block, n)
		} else {
			r.Read(block)
		}
	}},
}

// fillText writes lines that are alike, and differ.
func fillText(r *rand.ChaCha8, block []byte, n int) {
	for i := 0; len(block) > 0; i++ {
		x := r.Uint64()
		line := fmt.Sprintf("10.0.%d.%d - - [28/Nov/2026:12:%02d:%02d] \"GET /item/%d HTTP/1.1\" 200 %d\n",
			byte(x), byte(x>>8), n%60, i%60, x>>16%100_000, x>>32%10_000)
		block = block[copy(block, line):]
	}
}

// write makes a file, and returns its sum.
func (c content) write(path string, size int64) (sum [sha256.Size]byte, err error) {
	f, err := os.Create(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	if err := c.writeTo(io.MultiWriter(f, h), size); err != nil {
		return sum, err
	}
	return sumOf(h), f.Close()
}

func sumOf(h hash.Hash) [sha256.Size]byte { return [sha256.Size]byte(h.Sum(nil)) }

func (c content) writeTo(w io.Writer, size int64) error {
	r := rand.NewChaCha8([32]byte{1})
	block := make([]byte, 64<<10)
	for n := 0; size > 0; n++ {
		c.fill(r, block, n)
		k := min(size, int64(len(block)))
		if _, err := w.Write(block[:k]); err != nil {
			return err
		}
		size -= k
	}
	return nil
}
