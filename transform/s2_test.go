package transform_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	ks2 "github.com/klauspost/compress/s2"

	"relayd/transform"
)

// s2Stream is what the library's own writer makes of plain.
func s2Stream(t testing.TB, plain []byte, options ...ks2.WriterOption) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := ks2.NewWriter(&packed, options...)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// There is no program for S2 in Debian. The library has a framing of its own.
func TestS2Library(t *testing.T) {
	for _, want := range [][]byte{[]byte("x"), sample(500_000), bytes.Repeat([]byte("ab"), 600<<10)} {
		for _, text := range []string{"s2", "s2:level=2,block=4k", "s2:block=4M"} {
			got, err := io.ReadAll(ks2.NewReader(bytes.NewReader(run(t, text, want))))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, then the library: %d bytes became %d others, %v", text, len(want), len(got), err)
			}
		}
		for name, options := range map[string][]ks2.WriterOption{
			"as usual": nil,
			"snappy":   {ks2.WriterSnappyCompat()},
			"best":     {ks2.WriterBestCompression(), ks2.WriterBlockSize(64 << 10)},
			"stored":   {ks2.WriterUncompressed()},
			"padded":   {ks2.WriterPadding(1000)},
			"indexed":  {ks2.WriterAddIndex()},
		} {
			packed := s2Stream(t, want, append(options, ks2.WriterConcurrency(1))...)
			if got := run(t, "uns2", packed); !bytes.Equal(got, want) {
				t.Errorf("the library, %s, then uns2: %d bytes became %d others", name, len(want), len(got))
			}
			if got := run(t, "uns2", append(packed, packed...)); !bytes.Equal(got, append(want, want...)) {
				t.Errorf("the library twice, %s, then uns2: twice %d bytes became %d others", name, len(want), len(got))
			}
		}
	}
}

// chunk is an S2 chunk.
func chunk(kind byte, body string) string {
	n := len(body)
	return string([]byte{kind, byte(n), byte(n >> 8), byte(n >> 16)}) + body
}

func TestUns2Refuses(t *testing.T) {
	const magic = "\xff\x06\x00\x00S2sTwO"
	hello := string(run(t, "s2", []byte("hello")))
	other := string(s2Stream(t, []byte("hello")))
	end := strings.LastIndex(hello, "\xd7")
	large := "uns2: a block is larger than the limit, which is 1M: have the other end make smaller ones, or raise the option block here"
	for _, test := range []struct {
		name, in, out, want string
	}{
		{"nothing", "", "", "uns2: truncated stream: the source ended at byte 0: unexpected EOF"},
		{"a magic number", magic, "", "uns2: truncated stream: the source ended at byte 10: unexpected EOF"},
		{"no end", hello[:end], "hello", "uns2: truncated stream: the source ended at byte 46: unexpected EOF"},
		{"half an end", hello[:len(hello)-1], "hello", "uns2: truncated stream: the source ended at byte 69: unexpected EOF"},
		{"a chunk less", magic + hello[10:33] + hello[end:], "", "uns2: corrupt stream: the stream lacks chunks, or has more than were sent"},
		{"a chunk more", hello[:end] + other[10:] + hello[end:], "hellohello", "uns2: corrupt stream: the stream lacks chunks, or has more than were sent"},
		{"another before the end", hello[:end] + hello, "hello", "uns2: corrupt stream: another stream begins before the end of this one"},
		{"a stream of others, cut off", other[:len(other)-1], "", "uns2: truncated stream: the source ended at byte 22: unexpected EOF"},
		{"an unknown chunk", magic + chunk(2, "what?"), "", "uns2: corrupt stream: a chunk of a type that nobody knows"},
		{"no checksum", magic + chunk(1, "abc"), "", "uns2: corrupt stream: a chunk is shorter than its checksum"},
		{"a wrong checksum", magic + chunk(1, "abcdhello"), "", "uns2: corrupt stream: wrong checksum"},
		{"no block", magic + chunk(0, "abcd"), "", "uns2: corrupt stream: s2: corrupt input"},
		{"a block of 4 GiB", magic + chunk(0, "abcd\xff\xff\xff\xff\x0f"), "", large},
		{"stored bytes of 1 MiB and one", magic + "\x01\x05\x00\x10", "", large},
		{"a chunk of 16 MiB", magic + "\x00\xff\xff\xff", "", "uns2: corrupt stream: a chunk is longer than any that unpacks to a block"},
		{"a long identifier", magic + chunk(0xff, "S2sTwO!"), "", "uns2: corrupt stream: a chunk of a type that nobody knows"},
		{"a wrong identifier", magic + chunk(0xff, "S2sTw0"), "", "uns2: corrupt stream: a chunk of a type that nobody knows"},
		{"a long chunk to skip, cut off", magic + "\x80\xff\xff\xffabc", "", "uns2: truncated stream: the source ended at byte 17: unexpected EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, size := range []int{3, 2 << 20} {
				r := mustParse(t, "uns2").Open(strings.NewReader(test.in))
				defer r.Close()
				var out bytes.Buffer
				_, err := io.CopyBuffer(&out, struct{ io.Reader }{r}, make([]byte, size))
				if err == nil || err.Error() != test.want {
					t.Errorf("got the error %v, want %s", err, test.want)
				}
				if got := out.String(); got != test.out {
					t.Errorf("got %q before the error, want %q", got, test.out)
				}
				var e *transform.Error
				if !errors.As(err, &e) || e.Stage != "uns2" || e.Op != "read" {
					t.Errorf("got the error %#v, want an *Error of uns2", err)
				}
			}
		})
	}
}

func TestUns2Skips(t *testing.T) {
	const magic = "\xff\x06\x00\x00S2sTwO"
	hello := string(s2Stream(t, []byte("hello")))[10:]
	in := magic + chunk(0xfe, "padding") + chunk(0x80, "") + chunk(0xd7, "a mark of others") + hello + magic +
		chunk(0xd7, strings.Repeat("long", 10_000)) + hello
	for _, src := range []io.Reader{strings.NewReader(in), iotest.OneByteReader(strings.NewReader(in))} {
		r := mustParse(t, "uns2").Open(src)
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || string(got) != "hellohello" {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

func FuzzUns2(f *testing.F) {
	hello := run(f, "s2", []byte("hello, hello, hello"))
	f.Add([]byte{})
	f.Add([]byte("\x28\xb5\x2f\xfd"))
	f.Add(hello)
	f.Add(hello[:len(hello)-3])
	f.Add(append(bytes.Clone(hello), hello...))
	f.Add(run(f, "s2:block=4k", sample(5000)))
	f.Add(s2Stream(f, sample(300), ks2.WriterSnappyCompat()))
	f.Add(s2Stream(f, sample(300), ks2.WriterAddIndex()))
	f.Fuzz(func(t *testing.T, in []byte) {
		const most = 1 << 20
		r := mustParse(t, "uns2:block=64k").Open(bytes.NewReader(in))
		defer r.Close()
		got, err := io.ReadAll(io.LimitReader(r, most))
		if len(got) == most {
			return
		}
		var e *transform.Error
		if err != nil && (!errors.As(err, &e) || e.Stage != "uns2") {
			t.Fatalf("got the error %v, want an *Error of uns2", err)
		}
		// The library is the judge, but wants no end.
		judge := ks2.NewReader(struct{ io.Reader }{bytes.NewReader(in)}, ks2.ReaderMaxBlockSize(64<<10))
		want, judgement := io.ReadAll(io.LimitReader(judge, most))
		if err == nil && (judgement != nil || !bytes.Equal(got, want)) {
			t.Fatalf("got %d bytes, the library makes %d, %v", len(got), len(want), judgement)
		}
	})
}
