package transform_test

// What holds for every codec: zstd and s2 as for gzip.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"relayd/transform/stagetest"
)

// A codec is an encoder and its decoder, and what the two hold at most, in KiB.
type codec struct {
	encoder, decoder string
	packs, unpacks   int64
}

var codecs = []codec{
	{"gzip", "gunzip", 1450 + 128, 60 + 32},
	{"zstd", "unzstd", 1970 + 164, 735 + 128},
	{"zstd:level=1,window=1k", "unzstd:window=1k", 720 + 164, 36 + 128},
	{"s2", "uns2", 225, 20 + 225},
	{"s2:level=2,block=4k", "uns2:block=4k", 40, 40},
}

func TestCodecs(t *testing.T) {
	for _, c := range codecs {
		t.Run(c.decoder+" of nothing", func(t *testing.T) {
			stagetest.TestStage(t, mustParse(t, c.decoder).Open, stagetest.Options{
				Input:    run(t, c.encoder, nil),
				Want:     []byte{},
				Complete: true,
			})
		})
	}
}

// One codec inside another, and one behind another.
func TestCodecChains(t *testing.T) {
	for _, text := range []string{
		"zstd,unzstd,s2,uns2",
		"gzip,zstd:level=1,s2,uns2,unzstd,gunzip",
	} {
		t.Run(text, func(t *testing.T) {
			stagetest.TestStage(t, chain(t, text), stagetest.Options{Input: sample(2000)})
		})
	}
	plain := sample(500)
	t.Run("unzstd,gzip,s2,uns2,gunzip", func(t *testing.T) {
		stagetest.TestStage(t, chain(t, "unzstd,gzip,s2,uns2,gunzip"), stagetest.Options{
			Input:    run(t, "zstd", plain),
			Want:     plain,
			Complete: true,
		})
	})
}

func TestCodecLevels(t *testing.T) {
	want := sample(400_000)
	for _, c := range []struct{ encoder, decoder string }{
		{"zstd:level=1", "unzstd"},
		{"zstd:level=3", "unzstd"},
		{"zstd:level=6", "unzstd"},
		{"zstd:level=10", "unzstd"},
		{"zstd:window=1k", "unzstd:window=1k"},
		{"zstd:window=8M", "unzstd:window=8M"},
		{"s2:level=2", "uns2"},
		{"s2:block=4M", "uns2:block=4M"},
	} {
		packed := run(t, c.encoder, want)
		if len(packed) > len(want)*9/10 {
			t.Errorf("%s: %d bytes became %d", c.encoder, len(want), len(packed))
		}
		if got := run(t, c.decoder, packed); !bytes.Equal(got, want) {
			t.Errorf("%s: what comes back is not what went in", c.encoder)
		}
	}
}

// Whole streams may follow each other, and none begins to be decoded later than
// it comes.
func TestStreamsInARow(t *testing.T) {
	for _, c := range codecs {
		var want string
		turn := 0
		r := mustParse(t, c.decoder).Open(&stub{read: func(p []byte) (int, error) {
			if turn++; turn > 5 {
				return 0, io.EOF
			}
			want = strings.Repeat("x", turn)
			return copy(p, run(t, c.encoder, []byte(want))), nil
		}})
		buf := make([]byte, 64<<10)
		for i := 1; i <= 5; i++ {
			n, err := r.Read(buf)
			if err != nil || turn != i || string(buf[:n]) != want {
				t.Fatalf("%s, stream %d: got %q, %v after %d of them", c.decoder, i, buf[:n], err, turn)
			}
		}
		if n, err := r.Read(buf); n != 0 || err != io.EOF {
			t.Errorf("%s, at the end: got %d, %v", c.decoder, n, err)
		}
		r.Close()
	}
}

// Two streams at once, and what is behind them.
func TestWhatFollowsAStream(t *testing.T) {
	for _, c := range codecs {
		hello := run(t, c.encoder, []byte("hello"))
		name, _, _ := strings.Cut(c.decoder, ":")
		format := map[string]string{"gunzip": "gzip", "unzstd": "zstd", "uns2": "s2"}[name]
		for _, test := range []struct {
			behind    []byte
			out, want string
		}{
			{hello, "hellohello", ""},
			{[]byte("more"), "hello", name + ": garbage after the end of the " + format + " stream"},
			{[]byte{0}, "hello", name + ": garbage after the end of the " + format + " stream"},
			{hello[:2], "hello", fmt.Sprintf("%s: truncated stream: the source ended at byte %d: unexpected EOF", name, len(hello)+2)},
		} {
			r := mustParse(t, c.decoder).Open(bytes.NewReader(append(bytes.Clone(hello), test.behind...)))
			out, err := io.ReadAll(r)
			if string(out) != test.out || (err == nil) != (test.want == "") || err != nil && err.Error() != test.want {
				t.Errorf("%s, then %q: got %q, %v; want %q, %s", c.encoder, test.behind, out, err, test.out, test.want)
			}
			r.Close()
		}
	}
}

// A stream of which a bit was turned is an error, whichever bit it was: the
// formats have checksums. Only what is not content may go unseen.
func TestTurnedBitsAreSeen(t *testing.T) {
	want := sample(300)
	for _, c := range codecs {
		packed := run(t, c.encoder, want)
		for at := range packed {
			for bit := range 8 {
				bad := bytes.Clone(packed)
				bad[at] ^= 1 << bit
				r := mustParse(t, c.decoder).Open(bytes.NewReader(bad))
				got, err := io.ReadAll(r)
				r.Close()
				if err == nil && !bytes.Equal(got, want) {
					t.Errorf("%s, bit %d of byte %d of %d: %d bytes came out and no error", c.decoder, bit, at, len(packed), len(got))
				}
			}
		}
	}
}

// Streams that follow each other share codecs. Nothing of one may show in the
// next, however it ended.
func TestCodecsAreHandedOnClean(t *testing.T) {
	want := sample(50_000)
	for _, c := range codecs {
		packed := run(t, c.encoder, want)
		spoilt := bytes.Clone(packed)
		spoilt[len(spoilt)/2] ^= 0x55
		buf := make([]byte, 1000)
		for i := range 40 {
			// A stream that ends early, in one way or another.
			text, in := c.encoder, io.Reader(bytes.NewReader(want))
			switch i % 4 {
			case 1:
				text, in = c.decoder, bytes.NewReader(packed)
			case 2:
				text, in = c.decoder, bytes.NewReader(spoilt)
			case 3:
				in = io.MultiReader(bytes.NewReader(want[:5000]), iotest.ErrReader(errors.New("failed")))
			}
			r := mustParse(t, text).Open(in)
			for range i {
				r.Read(buf)
			}
			r.Close()
			// Another that must not notice, and a Read of the closed one in the
			// middle of it.
			if got := run(t, c.encoder, want); !bytes.Equal(got, packed) {
				t.Fatalf("after stream %d: %s is not what it was", i, c.encoder)
			}
			next := mustParse(t, c.decoder).Open(bytes.NewReader(packed))
			head := make([]byte, 1000)
			if _, err := io.ReadFull(next, head); err != nil {
				t.Fatal(err)
			}
			r.Read(buf)
			r.Close()
			rest, err := io.ReadAll(next)
			if err != nil || !bytes.Equal(append(head, rest...), want) {
				t.Fatalf("after stream %d: %s made %d bytes, %v", i, c.decoder, 1000+len(rest), err)
			}
			next.Close()
		}
	}
}

// A server that speaks first must not be kept waiting, nor sent a header
// before there is anything to say; the first bytes come in one piece with it.
func TestEncodersAreSilentAtFirst(t *testing.T) {
	failed := errors.New("failed")
	for _, c := range codecs {
		r := mustParse(t, c.encoder).Open(&stub{read: func([]byte) (int, error) { return 0, failed }})
		if n, err := r.Read(make([]byte, 100)); n != 0 || err != failed {
			t.Errorf("%s: got %d, %v; want 0 and the source's error", c.encoder, n, err)
		}
		r.Close()

		r = mustParse(t, c.encoder).Open(&stub{
			ready: func() bool { return false },
			read:  func(p []byte) (int, error) { return copy(p, "hello"), nil },
		})
		buf := make([]byte, 4096)
		n, err := r.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		back := mustParse(t, c.decoder).Open(bytes.NewReader(buf[:n]))
		got := make([]byte, 5)
		if _, err := io.ReadFull(back, got); err != nil || string(got) != "hello" {
			t.Errorf("%s: the first Read held %q, %v; want hello", c.encoder, got, err)
		}
		back.Close()
		r.Close()
	}
}

// Whatever is packed comes back, and of whatever is cut off, a part and an
// error.
func FuzzTruncated(f *testing.F) {
	f.Add([]byte(""), uint(0), byte(1))
	f.Add([]byte("hello"), uint(12), byte(2))
	f.Add(sample(300), uint(200), byte(3))
	f.Add(sample(9000), uint(8000), byte(4))
	f.Fuzz(func(t *testing.T, data []byte, cut uint, which byte) {
		c := codecs[int(which)%len(codecs)]
		packed := run(t, c.encoder, data)
		if got := run(t, c.decoder, packed); !bytes.Equal(got, data) {
			t.Fatalf("%s: %d bytes came back as %d others", c.encoder, len(data), len(got))
		}
		packed = packed[:cut%uint(len(packed))]
		r := mustParse(t, c.decoder).Open(bytes.NewReader(packed))
		defer r.Close()
		got, err := io.ReadAll(r)
		if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.HasPrefix(data, got) {
			t.Fatalf("%s: cut off after %d bytes: got %d of %d bytes, %v", c.decoder, len(packed), len(got), len(data), err)
		}
	})
}

// What does not compress hardly grows.
func TestNoiseHardlyGrows(t *testing.T) {
	noise := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{5}).Read(noise)
	for _, c := range codecs {
		if n := len(run(t, c.encoder, noise)); n > len(noise)+len(noise)/200 {
			t.Errorf("%s: %d bytes became %d", c.encoder, len(noise), n)
		}
	}
}

// What a byte costs on the wire that is sent alone.
func TestOneByteOnTheWire(t *testing.T) {
	most := map[string]int{"gzip": 11, "zstd": 4, "zstd:level=1,window=1k": 4, "s2": 9, "s2:level=2,block=4k": 9}
	for _, c := range codecs {
		turn := byte('a')
		r := mustParse(t, c.encoder).Open(&stub{
			ready: func() bool { return false },
			read: func(p []byte) (int, error) {
				turn++
				return copy(p, []byte{turn}), nil
			},
		})
		buf := make([]byte, 1000)
		for i := range 10 {
			n, err := r.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			if i > 0 && n > most[c.encoder] {
				t.Errorf("%s: byte %d takes %d bytes, want no more than %d", c.encoder, i, n, most[c.encoder])
			}
		}
		r.Close()
	}
}
