package transform_test

// Every stage, alone and in chains, against the contract.

import (
	"bytes"
	"encoding"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"relayd/transform"
	"relayd/transform/stagetest"
)

var (
	_ encoding.TextMarshaler   = transform.Stage{}
	_ encoding.TextUnmarshaler = (*transform.Stage)(nil)
	_ fmt.Stringer             = transform.Stage{}
)

// chain returns what opens the chain that text describes.
func chain(t testing.TB, text string) func(src io.Reader) io.ReadCloser {
	t.Helper()
	c, err := transform.ParseChain(text)
	if err != nil {
		t.Fatal(err)
	}
	return stagetest.Chain(c)
}

// run pulls in through the chain that text describes, to the end.
func run(t testing.TB, text string, in []byte) []byte {
	t.Helper()
	r := chain(t, text)(bytes.NewReader(in))
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return out
}

// sample is n bytes that compress somewhat.
func sample(n int) []byte {
	random := rand.New(rand.NewPCG(7, 7))
	b := make([]byte, 0, n+100)
	for len(b) < n {
		b = append(b, "the quick brown fox jumps over the lazy dog "...)
		for range random.IntN(30) {
			b = append(b, byte(random.Uint32()))
		}
	}
	return b[:n]
}

func TestStages(t *testing.T) {
	t.Run("gzip,gunzip", func(t *testing.T) {
		stagetest.TestStage(t, chain(t, "gzip,gunzip"), stagetest.Options{})
	})
	t.Run("gzip,gzip,gunzip,gunzip", func(t *testing.T) {
		stagetest.TestStage(t, chain(t, "gzip,gzip:level=1,gunzip,gunzip"), stagetest.Options{
			Input: sample(10_000),
		})
	})
	t.Run("gunzip,gzip,gunzip", func(t *testing.T) {
		plain := sample(500)
		stagetest.TestStage(t, chain(t, "gunzip,gzip,gunzip"), stagetest.Options{
			Input:    run(t, "gzip", plain),
			Want:     plain,
			Complete: true,
		})
	})
}

func TestGzipLevels(t *testing.T) {
	for level := 1; level <= 9; level++ {
		text := fmt.Sprintf("gzip:level=%d", level)
		t.Run(text, func(t *testing.T) {
			want := sample(300_000)
			packed := run(t, text, want)
			if len(packed) >= len(want) {
				t.Errorf("%d bytes became %d", len(want), len(packed))
			}
			if got := run(t, "gunzip", packed); !bytes.Equal(got, want) {
				t.Error("what comes back is not what went in")
			}
		})
	}
}

// The list is what --help shows, so it must be whole, and true.
func TestStagesList(t *testing.T) {
	infos := transform.Stages()
	if len(infos) == 0 {
		t.Fatal("no stages")
	}
	var names []string
	for _, info := range infos {
		t.Run(info.Name, func(t *testing.T) {
			if slices.Contains(names, info.Name) {
				t.Error("listed twice")
			}
			names = append(names, info.Name)
			if info.Summary == "" || info.Memory == "" || strings.ContainsAny(info.Summary+info.Memory, "\n") {
				t.Errorf("summary %q and memory %q must be one line each", info.Summary, info.Memory)
			}
			example := mustParse(t, info.Example)
			if got := example.String(); got != info.Example {
				t.Errorf("the example %s is written %s", info.Example, got)
			}
			needs := slices.ContainsFunc(info.Options, func(o transform.Option) bool { return o.Required })
			plain := example
			if !needs {
				plain = mustParse(t, info.Name)
			} else if s, err := transform.ParseStage(info.Name); err == nil {
				t.Errorf("%s lacks a required option and is parsed as %s", info.Name, s)
			}
			for i, o := range info.Options {
				if o.Doc == "" || o.Values == "" {
					t.Errorf("option %s is not documented", o.Name)
				}
				if o.Main && i > 0 || o.Required && o.Default != "" {
					t.Errorf("option %s is main and not the first, or required and has a default", o.Name)
				}
				if needs {
					continue
				}
				explicit := mustParse(t, info.Name+":"+o.Name+"="+o.Default)
				if explicit.String() != plain.String() {
					t.Errorf("option %s with its default makes %s", o.Name, explicit)
				}
			}
			if info.Inverse == "" {
				return
			}
			inverse, err := plain.Inverse()
			if err != nil {
				t.Fatal(err)
			}
			if got := inverse.String(); got != info.Inverse {
				t.Errorf("inverse is %s, listed is %s", got, info.Inverse)
			}
			if again, err := inverse.Inverse(); err != nil || again.String() != info.Name {
				t.Errorf("inverse of the inverse: %v, %v", again, err)
			}
		})
	}
}

func TestStagesListIsACopy(t *testing.T) {
	transform.Stages()[0].Options[0].Default = "spoilt"
	if got := transform.Stages()[0].Options[0].Default; got == "spoilt" {
		t.Error("a caller can change the table")
	}
}

func mustParse(t testing.TB, text string) transform.Stage {
	t.Helper()
	s, err := transform.ParseStage(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A stage that is hidden is shown as another text, in chains, errors and flows, and
// by what undoes it; it is not the same as one that does something else.
func TestHidden(t *testing.T) {
	s, err := transform.ParseStage("zstd:window=1M")
	if err != nil {
		t.Fatal(err)
	}
	other, _ := transform.ParseStage("zstd:window=2M")
	plain, _ := transform.ParseStage("zstd")
	undone, err := s.Hidden("").Inverse()
	for got, want := range map[string]string{
		s.Hidden("secret").String(): "secret", s.Hidden("").String(): "zstd:***", plain.Hidden("secret").String(): "zstd",
		transform.Chain{plain, s.Hidden("")}.String(): "zstd,zstd:***", undone.String(): "unzstd:***",
	} {
		if got != want {
			t.Errorf("it is shown as %s, want %s", got, want)
		}
	}
	if err != nil || !s.Same(s.Hidden("")) || s.Hidden("").Same(other.Hidden("")) || !(transform.Chain{s}).Same(transform.Chain{s.Hidden("")}) {
		t.Errorf("%v: what is hidden is compared", err)
	}
	if text, err := s.Hidden("").MarshalText(); string(text) != "zstd:***" || err != nil {
		t.Errorf("%s, %v", text, err)
	}
}
