package transform_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"relayd/transform"
)

// replacer is the stage, for any two texts.
func replacer(t testing.TB, from, to string) transform.Stage {
	return mustParse(t, fmt.Sprintf("replace:%q,to=%q", from, to))
}

func TestReplace(t *testing.T) {
	a100k := strings.Repeat("a", 100_000)
	for _, test := range []struct{ from, to, in string }{
		{"b", "", "abcb"},
		{"ab", "ba", "aabbab"},
		{"aab", "x", "aaaab aaab"},
		{"abab", "c", "abababab ababa"},
		{"abcabd", "!", "abcabcabd abcabcab"},
		{"\r\n", "\n", "one\r\ntwo\r\r\nthree\r"},
		{"\x00", "NUL", "a\x00b"},
		{"aa", "a", a100k},
		{"a", "", a100k},
		{"a", strings.Repeat("b", 1000), a100k[:10_000]}, // 10 MB are many times what may be pending
		{a100k[:30_000] + "b", "", a100k + "b"},
	} {
		want := strings.ReplaceAll(test.in, test.from, test.to)
		s := replacer(t, test.from, test.to)
		for name, src := range map[string]io.Reader{
			"whole":  strings.NewReader(test.in),
			"bytes":  iotest.OneByteReader(strings.NewReader(test.in)),
			"halves": iotest.DataErrReader(iotest.HalfReader(strings.NewReader(test.in))),
		} {
			got, err := io.ReadAll(s.Open(src))
			if string(got) != want || err != nil {
				t.Errorf("%.20q for %.20q in %.20q by %s: got %d bytes, %.50q, %v; want %d, %.50q",
					test.to, test.from, test.in, name, len(got), got, err, len(want), want)
			}
		}
	}
}

// What cannot become one comes out at once, and nothing else is held back.
func TestReplaceHoldsNoMoreThanItMust(t *testing.T) {
	src, in := io.Pipe()
	r := replacer(t, "ababc", "!").Open(src)
	defer r.Close()
	defer in.Close()
	buf := make([]byte, 100)
	for _, step := range []struct{ in, out string }{
		{"xyz", "xyz"},
		{"qaba", "q"},
		{"d", "abad"},
		{"zabab", "z"},
		{"a", "ab"}, // aba is left
		{"bcz", "!z"},
		{"za", "z"},
		{"a", "a"}, // a is left
		{"x", "ax"},
	} {
		wrote := make(chan error)
		go func() {
			_, err := io.WriteString(in, step.in)
			wrote <- err
		}()
		// There is more room than for what comes, so that all that was written
		// is read, also what is then held back.
		n, err := io.ReadAtLeast(r, buf, len(step.out))
		if string(buf[:n]) != step.out || err != nil {
			t.Fatalf("after %q: got %q, %v; want %q", step.in, buf[:n], err, step.out)
		}
		if err := <-wrote; err != nil {
			t.Fatal(err)
		}
		if r.(transform.Readier).Ready() {
			t.Fatalf("after %q: there is more", step.in)
		}
	}
}

// Ready says whether there is output, and not only input.
func TestReplaceReady(t *testing.T) {
	for in, want := range map[string]bool{"ab": false, "abc": false, "abcabcab": false, "abx": true, "x": true, "": false} {
		r := replacer(t, "abc", "").Open(&atHand{[]byte(in)})
		if got := r.(transform.Readier).Ready(); got != want {
			t.Errorf("%q: Ready is %t", in, got)
		}
		r.Close()
	}
}

// atHand has its input at hand, and then nothing.
type atHand struct{ input []byte }

func (a *atHand) Ready() bool { return len(a.input) > 0 }

func (a *atHand) Read(p []byte) (int, error) {
	if len(a.input) == 0 {
		panic("a Read that waits")
	}
	n := copy(p, a.input)
	a.input = a.input[n:]
	return n, nil
}

// However the stream is cut up on its way in and out, what comes out is the same.
func FuzzReplace(f *testing.F) {
	f.Add("ab", "c", []byte("aabbabab"), uint8(1), uint8(1))
	f.Add("aab", "aaba", []byte("aaaabaaab"), uint8(2), uint8(7))
	f.Add("abab", "", []byte("abababababab"), uint8(3), uint8(200))
	f.Fuzz(func(t *testing.T, from, to string, in []byte, by, out uint8) {
		if from == "" || len(from) > 64<<10 || len(to) > 64<<10 {
			return
		}
		random := rand.New(rand.NewPCG(uint64(by), uint64(out)))
		r := replacer(t, from, to).Open(&inPieces{in, 1 + int(by), random})
		defer r.Close()
		want := bytes.ReplaceAll(in, []byte(from), []byte(to))
		var got []byte
		buf := make([]byte, 1+int(out))
		ready := by%2 == 0
		for {
			if ready {
				r.(transform.Readier).Ready()
			}
			n, err := r.Read(buf[:1+random.IntN(len(buf))])
			got = append(got, buf[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%q for %q in %q: got %q, want %q", to, from, in, got, want)
		}
	})
}

// inPieces is a source at hand, of no more than n bytes a Read, and at random
// less.
type inPieces struct {
	input  []byte
	n      int
	random *rand.Rand
}

func (s *inPieces) Ready() bool { return true }

func (s *inPieces) Read(p []byte) (int, error) {
	if len(s.input) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 1+s.random.IntN(s.n))], s.input)
	s.input = s.input[n:]
	return n, nil
}
