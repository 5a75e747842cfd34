package transform_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"relayd/transform"
)

func TestGunzipRefuses(t *testing.T) {
	hello := run(t, "gzip", []byte("hello"))
	spoilt := func(at int, b byte) []byte {
		bad := bytes.Clone(hello)
		bad[at] ^= b
		return bad
	}
	for _, test := range []struct {
		name string
		in   []byte
		out  string
		want string
	}{
		{"nothing", nil, "", "gunzip: truncated stream: the source ended at byte 0: unexpected EOF"},
		{"text", []byte("GET / HTTP/1.1\r\n"), "", `gunzip: not a gzip stream: it begins with "GET / HTTP", which looks like an HTTP request: the other end does not compress`},
		{"zstd", []byte("\x28\xb5\x2f\xfd\x24\x00\x01\x00\x00"), "", "gunzip: this is a zstd stream: the other end compresses with zstd, use unzstd"},
		{"nearly zstd", []byte("\x28\xb5\x2f\xfe"), "", `gunzip: not a gzip stream: it begins with 28 b5 2f fe: the other end does not compress with gzip`},
		{"half of zstd", []byte("\x28\xb5"), "", `gunzip: not a gzip stream: it begins with 28 b5: the other end does not compress with gzip`},
		{"compress", []byte("\x1f\x9d\x90"), "", `gunzip: not a gzip stream: it begins with 1f 9d 90, which looks like compress (.Z): no stage here reads that`},
		{"another method", spoilt(2, 1), "", `gunzip: not a gzip stream: it begins with 1f 8b 09 00 00 09 6e 88 00 ff: the other end does not compress with gzip`},
		{"one byte of it", hello[:1], "", "gunzip: truncated stream: the source ended at byte 1: unexpected EOF"},
		{"reserved flags", spoilt(3, 0x80), "", "gunzip: corrupt stream: gzip: invalid header"},
		{"checksum", spoilt(len(hello)-8, 1), "hello", "gunzip: corrupt stream: gzip: invalid checksum"},
		{"length", spoilt(len(hello)-1, 1), "hello", "gunzip: corrupt stream: gzip: invalid checksum"},
		{"garbage", append(bytes.Clone(hello), "more"...), "hello", "gunzip: garbage after the end of the gzip stream"},
		{"padding", append(bytes.Clone(hello), 0), "hello", "gunzip: garbage after the end of the gzip stream"},
		{"half a member", append(bytes.Clone(hello), hello[:2]...), "hello",
			"gunzip: truncated stream: the source ended at byte 37: unexpected EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, size := range []int{3, 64 << 10} {
				r := mustParse(t, "gunzip").Open(bytes.NewReader(test.in))
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
				if !errors.As(err, &e) || e.Stage != "gunzip" || e.Op != "read" {
					t.Errorf("got the error %#v, want an *Error of gunzip", err)
				}
			}
		})
	}
}

// A header has parts of any length, each of which can be where a stream ends. A
// second member has one too, and there an end is easily taken for a clean one.
func TestGunzipTruncatedHeader(t *testing.T) {
	var packed bytes.Buffer
	z := stdgzip.NewWriter(&packed)
	z.Name, z.Comment, z.Extra = "name", "comment", []byte("extra")
	z.ModTime = time.Unix(1e9, 0)
	z.Write([]byte("hello"))
	z.Close()
	one := packed.Bytes()
	two := append(bytes.Clone(one), one...)
	for cut := range two {
		r := mustParse(t, "gunzip").Open(bytes.NewReader(two[:cut]))
		got, err := io.ReadAll(r)
		r.Close()
		if whole := cut == len(one); whole != (err == nil) {
			t.Errorf("cut off after %d of twice %d bytes: got %q, %v", cut, len(one), got, err)
		}
		if !strings.HasPrefix("hellohello", string(got)) {
			t.Errorf("cut off after %d bytes: got %q", cut, got)
		}
	}
	if got := run(t, "gunzip", two); string(got) != "hellohello" {
		t.Errorf("got %q", got)
	}
}

func FuzzGunzip(f *testing.F) {
	hello := run(f, "gzip", []byte("hello, hello, hello"))
	f.Add([]byte{})
	f.Add([]byte("\x28\xb5\x2f\xfd"))
	f.Add(hello)
	f.Add(hello[:len(hello)-3])
	f.Add(append(bytes.Clone(hello), hello...))
	f.Add(append(bytes.Clone(hello), hello[:12]...))
	f.Add(run(f, "gzip", nil))
	f.Fuzz(func(t *testing.T, in []byte) {
		const most = 1 << 20
		r := mustParse(t, "gunzip").Open(bytes.NewReader(in))
		defer r.Close()
		got, err := io.ReadAll(io.LimitReader(r, most))
		if len(got) == most {
			return
		}
		// The standard library is the judge of what is a stream.
		want, judgement := unpack(in)
		stricter := err != nil && strings.Contains(err.Error(), "invalid header") // reserved flags
		if (err == nil) != (judgement == nil) && !stricter {
			t.Fatalf("got the error %v, compress/gzip says %v", err, judgement)
		}
		if err == nil && !bytes.Equal(got, want) {
			t.Fatalf("got %d bytes, compress/gzip makes %d others", len(got), len(want))
		}
		var e *transform.Error
		if err != nil && (!errors.As(err, &e) || e.Stage != "gunzip") {
			t.Fatalf("got the error %v, want an *Error of gunzip", err)
		}
	})
}

func unpack(in []byte) ([]byte, error) {
	z, err := stdgzip.NewReader(bytes.NewReader(in))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// Whatever is packed comes back, and of whatever is cut off, a part and an
// error.
func FuzzGzipTruncated(f *testing.F) {
	f.Add([]byte(""), uint(0), byte(6))
	f.Add([]byte("hello"), uint(12), byte(1))
	f.Add(sample(300), uint(200), byte(9))
	f.Fuzz(func(t *testing.T, data []byte, cut uint, level byte) {
		text := "gzip:level=" + string('1'+level%9)
		packed := run(t, text, data)
		if got := run(t, "gunzip", packed); !bytes.Equal(got, data) {
			t.Fatalf("%s: %d bytes came back as %d others", text, len(data), len(got))
		}
		packed = packed[:cut%uint(len(packed))]
		r := mustParse(t, "gunzip").Open(bytes.NewReader(packed))
		defer r.Close()
		got, err := io.ReadAll(r)
		if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.HasPrefix(data, got) {
			t.Fatalf("%s: cut off after %d bytes: got %d of %d bytes, %v", text, len(packed), len(got), len(data), err)
		}
	})
}
