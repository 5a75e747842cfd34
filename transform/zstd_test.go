package transform_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	kzstd "github.com/klauspost/compress/zstd"

	"relayd/transform"
)

func TestZstdProgram(t *testing.T) {
	for _, want := range [][]byte{nil, []byte("x"), sample(500_000)} {
		for _, text := range []string{"zstd", "zstd:level=1,window=1k", "zstd:level=10,window=8M"} {
			if got := pipe(t, run(t, text, want), "zstd", "-dcq"); !bytes.Equal(got, want) {
				t.Errorf("%s, then the program: %d bytes became %d others", text, len(want), len(got))
			}
		}
		for _, args := range [][]string{{"-cq"}, {"-cq", "-1"}, {"-cq", "-19"}, {"-cq", "--no-check"}, {"-cq", "--ultra", "-20"}} {
			packed := pipe(t, want, "zstd", args...)
			text := "unzstd"
			if len(args) > 2 {
				text = "unzstd:window=128M"
			}
			if got := run(t, text, packed); !bytes.Equal(got, want) {
				t.Errorf("the program with %v, then %s: %d bytes became %d others", args, text, len(want), len(got))
			}
			if got := run(t, text, append(packed, packed...)); !bytes.Equal(got, append(want, want...)) {
				t.Errorf("the program with %v twice, then %s: twice %d bytes became %d others", args, text, len(want), len(got))
			}
		}
	}
}

// A frame that a silence ended is one that other programs take, too.
func TestZstdAndGzipProgramsTakeSeveralFrames(t *testing.T) {
	want := sample(3000)
	for _, name := range []string{"zstd", "gzip"} {
		var packed []byte
		for _, part := range [][]byte{want[:1000], nil, want[1000:]} {
			packed = append(packed, run(t, name, part)...)
		}
		if got := pipe(t, packed, name, "-dcq"); !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes became %d others", name, len(want), len(got))
		}
	}
}

// Nor does a flush after every byte put them out.
func TestZstdAndGzipProgramsTakeFlushes(t *testing.T) {
	want := sample(3000)
	for _, name := range []string{"zstd", "gzip"} {
		packed, err := io.ReadAll(mustParse(t, name).Open(iotest.OneByteReader(bytes.NewReader(want))))
		if err != nil {
			t.Fatal(err)
		}
		if got := pipe(t, packed, name, "-dcq"); !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes became %d others", name, len(want), len(got))
		}
	}
}

func TestUnzstdRefuses(t *testing.T) {
	hello := run(t, "zstd", []byte("hello"))
	plain := []byte("hello")
	spoilt := func(at int, b byte) []byte {
		bad := bytes.Clone(hello)
		bad[at] ^= b
		return bad
	}
	const magic = "\x28\xb5\x2f\xfd"
	big := "the frame asks for a window of 16777216 bytes, and the limit is 8M: " +
		"have the other end use a smaller one, or raise the option window here"
	for _, test := range []struct {
		name, in, out, want string
	}{
		{"nothing", "", "", "unzstd: truncated stream: the source ended at byte 0: unexpected EOF"},
		{"a magic number", magic, "", "unzstd: truncated stream: the source ended at byte 4: unexpected EOF"},
		{"half a header", magic + "\xc0\x38\x01", "", "unzstd: truncated stream: the source ended at byte 7: unexpected EOF"},
		{"a reserved bit", magic + "\x08\x38", "", "unzstd: corrupt stream: reserved bit set on frame header"},
		{"a checksum", string(spoilt(len(hello)-1, 1)), "", "unzstd: corrupt stream: CRC check failed"},
		{"a window of 16 MiB", magic + "\x00\x70", "", "unzstd: " + big},
		{"a single segment of 16 MiB", magic + "\xa0\x00\x00\x00\x01", "", "unzstd: " + big},
		{"a dictionary", magic + "\x01\x38\x07\x01\x00\x00", "", "unzstd: corrupt stream: the frame wants a dictionary, and there is none"},
		{"a reserved block", magic + "\x00\x38\x2e\x00\x00", "", "unzstd: corrupt stream: invalid input: reserved block type encountered"},
		{"a block of 2 MiB", magic + "\x00\x58\xf9\xff\xff", "", "unzstd: corrupt stream: a block is larger than a block may be"},
		{"a skippable frame alone, cut off", "\x55\x2a\x4d\x18\x05\x00\x00\x00abc", "", "unzstd: truncated stream: the source ended at byte 11: unexpected EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, size := range []int{3, 256 << 10} {
				r := mustParse(t, "unzstd").Open(strings.NewReader(test.in))
				defer r.Close()
				var out bytes.Buffer
				_, err := io.CopyBuffer(&out, struct{ io.Reader }{r}, make([]byte, size))
				if err == nil || err.Error() != test.want {
					t.Errorf("got the error %v, want %s", err, test.want)
				}
				if got := out.String(); got != test.out && !bytes.HasPrefix(plain, []byte(got)) {
					t.Errorf("got %q before the error, want %q", got, test.out)
				}
				var e *transform.Error
				if !errors.As(err, &e) || e.Stage != "unzstd" || e.Op != "read" {
					t.Errorf("got the error %#v, want an *Error of unzstd", err)
				}
			}
		})
	}
}

// A frame that asks for more than is allowed is refused when its header has
// come: before any memory is given to it.
func TestUnzstdWindow(t *testing.T) {
	plain := sample(100_000)
	for _, test := range []struct {
		text, limit string
		ok          bool
	}{
		{"zstd:window=32k", "32k", true},
		{"zstd:window=64k", "32k", false},
		{"zstd:window=8M", "8M", true},
		{"zstd:window=8M", "4M", false},
	} {
		r := mustParse(t, "unzstd:window="+test.limit).Open(bytes.NewReader(run(t, test.text, plain)))
		got, err := io.ReadAll(r)
		r.Close()
		if (err == nil) != test.ok || test.ok && !bytes.Equal(got, plain) || !test.ok && len(got) > 0 {
			t.Errorf("%s with the limit %s: got %d bytes, %v", test.text, test.limit, len(got), err)
		}
	}
}

func TestUnzstdSkips(t *testing.T) {
	skip := binary.LittleEndian.AppendUint32([]byte("\x5a\x2a\x4d\x18"), 3000)
	skip = append(skip, sample(3000)...)
	hello := run(t, "zstd", []byte("hello"))
	in := bytes.Join([][]byte{skip, hello, skip, skip, hello, skip}, nil)
	for _, src := range []io.Reader{bytes.NewReader(in), iotest.OneByteReader(bytes.NewReader(in))} {
		r := mustParse(t, "unzstd").Open(src)
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || string(got) != "hellohello" {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

func FuzzUnzstd(f *testing.F) {
	hello := run(f, "zstd", []byte("hello, hello, hello"))
	f.Add([]byte{})
	f.Add([]byte("\x1f\x8b\x08"))
	f.Add(hello)
	f.Add(hello[:len(hello)-3])
	f.Add(append(bytes.Clone(hello), hello...))
	f.Add(run(f, "zstd:level=6,window=1k", sample(3000)))
	f.Add(run(f, "zstd", nil))
	judge, err := kzstd.NewReader(nil, kzstd.WithDecoderConcurrency(1), kzstd.WithDecoderMaxWindow(64<<10))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		const most = 1 << 20
		r := mustParse(t, "unzstd:window=64k").Open(bytes.NewReader(in))
		defer r.Close()
		got, err := io.ReadAll(io.LimitReader(r, most))
		if len(got) == most {
			return
		}
		var e *transform.Error
		if err != nil && (!errors.As(err, &e) || e.Stage != "unzstd") {
			t.Fatalf("got the error %v, want an *Error of unzstd", err)
		}
		// The library's own stream decoder is the judge, but takes nothing,
		// and half a magic number, for a stream.
		if err := judge.Reset(iotest.OneByteReader(bytes.NewReader(in))); err != nil {
			t.Fatal(err)
		}
		want, judgement := io.ReadAll(io.LimitReader(judge, most))
		if err == nil && (judgement != nil || !bytes.Equal(got, want)) {
			t.Fatalf("got %d bytes, the library makes %d, %v", len(got), len(want), judgement)
		}
		if judgement == nil && err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("got the error %v, the library none", err)
		}
	})
}
