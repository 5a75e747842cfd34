package transform_test

// The stages that harm a stream, and chance.

import (
	"bytes"
	"errors"
	"io"
	"math/bits"
	"strings"
	"testing"
	"testing/iotest"

	"relayd/transform"
)

// What lies behind the place is not read.
func TestCutAndReset(t *testing.T) {
	for _, test := range []struct{ text, in, want, err string }{
		{"cut:5", "hello world", "hello", ""},
		{"cut:5", "hello", "hello", ""},
		{"cut:5", "hell", "hell", ""},
		{"cut:0", "hello", "", ""},
		{"reset:5", "hello world", "hello", "reset: reset after 5 bytes, as asked"},
		{"reset:0", "hello", "", "reset: reset after 0 bytes, as asked"},
		{"reset:5", "hell", "hell", ""},
	} {
		src := strings.NewReader(test.in)
		r := mustParse(t, test.text).Open(src)
		got, err := io.ReadAll(r)
		text := ""
		if err != nil {
			text = err.Error()
		}
		var e *transform.Error
		if string(got) != test.want || text != test.err || err != nil && !errors.As(err, &e) {
			t.Errorf("%s of %q: got %q, %v; want %q, %s", test.text, test.in, got, err, test.want, test.err)
		}
		if left := src.Len(); left != len(test.in)-len(test.want) {
			t.Errorf("%s of %q: %d bytes are left", test.text, test.in, left)
		}
	}
}

// Damage is as frequent as asked for, evenly spread over the bits, and the same
// however the stream is cut up.
func TestCorrupt(t *testing.T) {
	in := sample(1_000_000)
	whole := run(t, "corrupt:0.01,seed=5", in)
	var where [8]int
	hurt := 0
	for i, c := range whole {
		if d := c ^ in[i]; d != 0 {
			hurt++
			where[bits.TrailingZeros8(d)]++
			if bits.OnesCount8(d) != 1 {
				t.Fatalf("byte %d has changed from %x to %x", i, in[i], c)
			}
		}
	}
	if hurt < 9600 || hurt > 10400 {
		t.Errorf("%d bytes of a million are corrupt, want 10000", hurt)
	}
	for bit, n := range where {
		if n < 1000 || n > 1500 {
			t.Errorf("bit %d was flipped %d times", bit, n)
		}
	}
	for name, src := range map[string]io.Reader{
		"bytes":  iotest.OneByteReader(bytes.NewReader(in)),
		"halves": iotest.HalfReader(bytes.NewReader(in)),
	} {
		got, err := io.ReadAll(mustParse(t, "corrupt:0.01,seed=5").Open(src))
		if err != nil || !bytes.Equal(got, whole) {
			t.Errorf("by %s something else comes out: %v", name, err)
		}
	}
	if bytes.Equal(run(t, "corrupt:0.01,seed=6", in), whole) || bytes.Equal(run(t, "corrupt:0.01", in), run(t, "corrupt:0.01", in)) {
		t.Error("the seed makes no difference")
	}
	for i, c := range run(t, "corrupt:1", in) {
		if c == in[i] {
			t.Fatalf("byte %d is as it was", i)
		}
	}
}

// fates opens the stage for n streams and says which it acts on.
func fates(t *testing.T, text string, n int) string {
	t.Helper()
	s := mustParse(t, text)
	var b strings.Builder
	for range n {
		got, err := io.ReadAll(s.Open(strings.NewReader("x")))
		if err != nil {
			t.Fatal(err)
		}
		b.WriteByte("+-"[len(got)])
	}
	return b.String()
}

func TestChance(t *testing.T) {
	const n = 4000
	if acts := strings.Count(fates(t, "cut:0,p=0.3", n), "+"); acts < n*3/10-120 || acts > n*3/10+120 {
		t.Errorf("with p=0.3 it acts on %d of %d streams", acts, n)
	}
	if never := fates(t, "cut:0,p=0", 100); strings.Contains(never, "+") {
		t.Errorf("with p=0: %s", never)
	}
	if always := fates(t, "cut:0", 100); strings.Contains(always, "-") {
		t.Errorf("with p=1: %s", always)
	}
	one, same, other := fates(t, "cut:0,p=0.5,seed=1", 100), fates(t, "cut:0,p=0.5,seed=1", 100), fates(t, "cut:0,p=0.5,seed=2", 100)
	if one != same || one == other {
		t.Errorf("with seeds 1, 1 and 2:\n%s\n%s\n%s", one, same, other)
	}
	if run, another := fates(t, "cut:0,p=0.5", 100), fates(t, "cut:0,p=0.5", 100); run == another {
		t.Error("without a seed two runs are the same")
	}
}

// A stage that does not act is not there: what is read is the source itself, if
// there is nothing else.
func TestLeftOutCostsNothing(t *testing.T) {
	src := strings.NewReader("hello")
	for _, text := range []string{"stall:0,p=0", "delay:1h,p=0,limit:1,p=0,corrupt:1,p=0"} {
		c, err := transform.ParseChain(text)
		if err != nil {
			t.Fatal(err)
		}
		r, closeChain := c.Open(src)
		if r != io.Reader(src) {
			t.Errorf("%s: what is read is %T", text, r)
		}
		if err := closeChain(); err != nil {
			t.Error(err)
		}
	}
	if got := run(t, "reset:0,p=0,gzip,stall:0,p=0,gunzip,cut:0,p=0", []byte("hello")); string(got) != "hello" {
		t.Errorf("got %q", got)
	}
}
