package transform_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
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
		{"text", []byte("GET / HTTP/1.1\r\n"), "", `gunzip: not a gzip stream: it begins with "GET "`},
		{"zstd", []byte("\x28\xb5\x2f\xfd\x24\x00\x01\x00\x00"), "", "gunzip: not a gzip stream: this looks like zstd"},
		{"nearly zstd", []byte("\x28\xb5\x2f\xfe"), "", `gunzip: not a gzip stream: it begins with "(\xb5/\xfe"`},
		{"half of zstd", []byte("\x28\xb5"), "", `gunzip: not a gzip stream: it begins with "(\xb5"`},
		{"compress", []byte("\x1f\x9d\x90"), "", `gunzip: not a gzip stream: it begins with "\x1f\x9d\x90"`},
		{"another method", spoilt(2, 1), "", `gunzip: not a gzip stream: it begins with "\x1f\x8b\t\x00"`},
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

// Who speaks the wrong protocol may be waiting for an answer: the error must
// not take more bytes than it takes to be sure.
func TestGunzipFailsFast(t *testing.T) {
	for _, in := range []string{"\x16", "\x1f\x9d", "\x28\xb5\x2f\xfd", "\x28\xb6"} {
		src := iotest.OneByteReader(strings.NewReader(in))
		r := mustParse(t, "gunzip").Open(io.MultiReader(src, &stub{
			read: func([]byte) (int, error) {
				t.Errorf("%q: more was read", in)
				return 0, io.EOF
			},
		}))
		if _, err := r.Read(make([]byte, 100)); err == nil || err == io.EOF {
			t.Errorf("%q: got the error %v", in, err)
		}
		r.Close()
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

// A peer may make a member of each message. It must be handed out before the
// next one comes.
func TestGunzipMemberByMember(t *testing.T) {
	var want string
	turn := 0
	r := mustParse(t, "gunzip").Open(&stub{read: func(p []byte) (int, error) {
		if turn++; turn > 5 {
			return 0, io.EOF
		}
		want = strings.Repeat("x", turn)
		return copy(p, run(t, "gzip", []byte(want))), nil
	}})
	defer r.Close()
	buf := make([]byte, 64<<10)
	for i := 1; i <= 5; i++ {
		n, err := r.Read(buf)
		if err != nil || turn != i || string(buf[:n]) != want {
			t.Fatalf("message %d: got %q, %v after %d of them", i, buf[:n], err, turn)
		}
	}
	if n, err := r.Read(buf); n != 0 || err != io.EOF {
		t.Errorf("at the end: got %d, %v", n, err)
	}
}

// bomb is a gzip stream, or the first part of one, that unpacks to a gigabyte
// of zeros.
func bomb(t *testing.T) io.Reader {
	var packed bytes.Buffer
	z := stdgzip.NewWriter(&packed)
	zeros := make([]byte, 1<<20)
	z.Write(zeros)
	z.Flush()
	first := bytes.Clone(packed.Bytes())
	packed.Reset()
	z.Write(zeros)
	z.Flush() // from here on each megabyte is packed like the one before
	again := packed.Bytes()
	t.Logf("a megabyte takes %d bytes", len(again))
	parts := []io.Reader{bytes.NewReader(first)}
	for range 1023 {
		parts = append(parts, bytes.NewReader(again))
	}
	return io.MultiReader(parts...)
}

func TestGunzipBomb(t *testing.T) {
	const unpacked = 16 << 20
	for _, size := range []int{100, 64 << 10} {
		src := bomb(t)
		buf := make([]byte, size)
		before := live()
		r := mustParse(t, "gunzip").Open(src)
		for total := 0; total < unpacked; {
			n, err := r.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			total += n
		}
		if got := live() - before; got > 256<<10 {
			t.Errorf("by %d: %d MiB unpacked hold %d KiB", size, unpacked>>20, got>>10)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// live returns how many bytes of the heap are in use.
func live() int64 {
	for range 2 { // the second one empties the pools' reserve
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A stream that goes on unpacking for ever must stop when its source fails.
func TestGunzipBombIsInterrupted(t *testing.T) {
	stop := errors.New("stop")
	src := &stub{}
	endless := bomb(t)
	src.read = endless.Read
	r := mustParse(t, "gunzip").Open(src)
	defer r.Close()
	buf := make([]byte, 64<<10)
	if _, err := r.Read(buf); err != nil {
		t.Fatal(err)
	}
	src.read = func([]byte) (int, error) { return 0, stop }
	for total := 0; ; {
		n, err := r.Read(buf)
		if err == stop {
			break
		}
		if total += n; err != nil || total > 64<<20 {
			t.Fatalf("got %v after %d MiB", err, total>>20)
		}
	}
}

// Streams that follow each other share codecs. Nothing of one may show in the
// next, however it ended.
func TestCodecsAreHandedOnClean(t *testing.T) {
	want := sample(50_000)
	packed := run(t, "gzip", want)
	spoilt := bytes.Clone(packed)
	spoilt[len(spoilt)/2] ^= 0x55
	buf := make([]byte, 1000)
	for i := range 40 {
		// A stream that ends early, in one way or another.
		text, in := "gzip", io.Reader(bytes.NewReader(want))
		switch i % 4 {
		case 1:
			text, in = "gunzip", bytes.NewReader(packed)
		case 2:
			text, in = "gunzip", bytes.NewReader(spoilt)
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
		if got := run(t, "gzip", want); !bytes.Equal(got, packed) {
			t.Fatalf("after stream %d: gzip is not what it was", i)
		}
		next := mustParse(t, "gunzip").Open(bytes.NewReader(packed))
		head := make([]byte, 1000)
		if _, err := io.ReadFull(next, head); err != nil {
			t.Fatal(err)
		}
		r.Read(buf)
		r.Close()
		rest, err := io.ReadAll(next)
		if err != nil || !bytes.Equal(append(head, rest...), want) {
			t.Fatalf("after stream %d: gunzip made %d bytes, %v", i, 1000+len(rest), err)
		}
		next.Close()
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
