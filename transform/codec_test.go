package transform

// Which codecs are handed on to another stream, and when.

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// encoderTexts and decoderTexts are the codecs, each encoder beside its decoder.
var (
	encoderTexts = []string{"gzip", "zstd", "s2"}
	decoderTexts = []string{"gunzip", "unzstd", "uns2"}
)

// script is a source whose reads are functions.
type script []func(p []byte) (int, error)

func (s *script) Read(p []byte) (int, error) {
	f := (*s)[0]
	*s = (*s)[1:]
	return f(p)
}

func give(b []byte) func(p []byte) (int, error) {
	return func(p []byte) (int, error) { return copy(p, b), nil }
}

func boom([]byte) (int, error) { panic("boom") }

func fails([]byte) (int, error) { return 0, errors.New("failed") }

func ends([]byte) (int, error) { return 0, io.EOF }

// work opens the stage that text describes, without the link around it.
func work(t testing.TB, text string, src io.Reader) io.ReadCloser {
	t.Helper()
	s, err := ParseStage(text)
	if err != nil {
		t.Fatal(err)
	}
	in := new(source)
	in.reset(src, nowhere)
	return s.open(in)
}

// packed returns what the stage that text describes makes of plain, flushed but
// not ended.
func packed(t testing.TB, text string, plain []byte) []byte {
	t.Helper()
	z := work(t, text, &script{give(plain), fails})
	defer z.Close()
	var out bytes.Buffer
	if _, err := out.ReadFrom(z); err == nil || err.Error() != "failed" {
		t.Fatalf("got the error %v, want the source's", err)
	}
	return out.Bytes()
}

// A codec that was left by a panic is in nobody knows which state.
func TestSpoiltEncodersAreDropped(t *testing.T) {
	buf := make([]byte, 64<<10)
	for _, text := range encoderTexts {
		z := work(t, text, &script{give([]byte("hello")), boom}).(*packing)
		z.from = &encoders{make: z.from.make} // where nobody else puts any
		if _, err := z.Read(buf); err != nil {
			t.Fatal(err)
		}
		panics(t, z, buf)
		z.Close()
		if z.from.spare.Get() != nil {
			t.Errorf("%s handed on an encoder after a panic", text)
		}
	}
}

func TestSpoiltDecodersAreDropped(t *testing.T) {
	buf := make([]byte, maxZstdBlock)
	for i, text := range decoderTexts {
		in := packed(t, encoderTexts[i], []byte("hello"))
		for name, end := range map[string]func([]byte) (int, error){"a panic": boom, "an error": fails, "nothing": nil} {
			z := work(t, text, &script{give(in), end}).(*unpacking)
			handed := false
			as := *z.as
			as.put = func(unpacker) { handed = true }
			z.as = &as
			if _, err := z.Read(buf); err != nil {
				t.Fatal(err)
			}
			if name == "a panic" {
				panics(t, z, buf)
			} else if end != nil {
				if _, err := z.Read(buf); err == nil {
					t.Fatal("no error")
				}
			}
			z.Close()
			if want := end == nil; handed != want {
				t.Errorf("%s, after %s: handed on: %v, want %v", text, name, handed, want)
			}
		}
	}
}

func panics(t *testing.T, r io.Reader, buf []byte) {
	t.Helper()
	defer func() {
		if v := recover(); v != "boom" {
			t.Errorf("got the panic %v, want boom", v)
		}
	}()
	_, err := r.Read(buf)
	t.Errorf("no panic, but the error %v", err)
}

// A quiet source has pieces with silences between them. A Wait that finds
// nothing at hand sees one silence.
type quiet struct {
	script
	waited []time.Duration
	silent bool
}

func (q *quiet) Wait(d time.Duration) bool {
	q.waited = append(q.waited, d)
	return !q.silent
}

// A silence ends the frame, lets the encoder go here, and by the end of the
// frame the decoder there. What comes then is another frame.
func TestSilenceEndsAFrame(t *testing.T) {
	for i, text := range []string{"gzip:idle=3s", "zstd:idle=3s"} {
		buf := make([]byte, 64<<10)
		src := &quiet{}
		z := work(t, text, src).(*packing)
		defer z.Close()
		line := &quiet{} // what the decoder reads
		u := work(t, decoderTexts[i], line).(*unpacking)
		defer u.Close()
		for _, message := range []string{"hello", "hello again"} {
			src.script, src.silent = script{give([]byte(message))}, false
			n, err := z.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			line.script = script{give(append([]byte(nil), buf[:n]...))}
			if n, err = u.Read(buf); err != nil || string(buf[:n]) != message {
				t.Fatalf("%s: got %q, %v; want %q", text, buf[:n], err, message)
			}
			if u.un == nil {
				t.Errorf("%s: the decoder is gone inside a frame", text)
			}
			src.silent = true
			if n, err = z.Read(buf); n == 0 || err != nil {
				t.Fatalf("%s: got %d, %v of a silence; want the end of the frame", text, n, err)
			}
			if got := src.waited[len(src.waited)-1]; got != 3*time.Second {
				t.Errorf("%s: waited for %v", text, got)
			}
			line.script = script{give(append([]byte(nil), buf[:n]...)), fails}
			// The next Read of the encoder waits, without an encoder.
			src.script = script{func(p []byte) (int, error) {
				if z.enc != nil {
					t.Errorf("%s: the encoder is still there while the stream is silent", text)
				}
				return copy(p, "x"), nil
			}}
			waits := len(src.waited)
			if n, err = z.Read(buf); err != nil || len(src.waited) != waits {
				t.Errorf("%s: a stream without an encoder was waited for with a bound, %v", text, err)
			}
			x := append([]byte(nil), buf[:n]...)
			line.script[1] = func(p []byte) (int, error) {
				if u.un != nil || u.in != nil {
					t.Errorf("%s: the decoder is still there while the stream is silent", decoderTexts[i])
				}
				return copy(p, x), nil
			}
			if n, err = u.Read(buf); err != nil || string(buf[:n]) != "x" {
				t.Fatalf("%s: got %q, %v; want x", text, buf[:n], err)
			}
		}
		src.script, src.silent = script{ends}, false
		n, err := z.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		line.script = script{give(append([]byte(nil), buf[:n]...)), ends}
		if n, err := u.Read(buf); n != 0 || err != io.EOF {
			t.Errorf("%s: got %d, %v at the end", text, n, err)
		}
	}
}

// A stream that ends in a silence has ended its last frame already.
func TestEndAfterSilence(t *testing.T) {
	for i, text := range encoderTexts[:2] {
		src := &quiet{silent: true}
		src.script = script{give([]byte("hello")), ends}
		z := work(t, text, src)
		all, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		z.Close()
		got, err := io.ReadAll(work(t, decoderTexts[i], bytes.NewReader(all)))
		if err != nil || string(got) != "hello" {
			t.Errorf("%s: got %q, %v", text, got, err)
		}
		whole, err := io.ReadAll(work(t, text, bytes.NewReader([]byte("hello"))))
		if err != nil || len(all) > len(whole)+10 { // flushed, then ended
			t.Errorf("%s: %d bytes, where one frame takes %d: %v", text, len(all), len(whole), err)
		}
	}
}

func TestSilenceMayBeOff(t *testing.T) {
	src := &quiet{silent: true}
	src.script = script{give([]byte("hello")), fails}
	z := work(t, "zstd:idle=off", src)
	defer z.Close()
	if _, err := io.ReadAll(z); err == nil || len(src.waited) > 0 {
		t.Errorf("waited %v, %v", src.waited, err)
	}
}

// A stream that has said nothing yet holds no codec at either end.
func TestNothingIsHeldAtFirst(t *testing.T) {
	for _, text := range append(decoderTexts, encoderTexts...) {
		var z io.ReadCloser
		z = work(t, text, &script{func([]byte) (int, error) {
			switch z := z.(type) {
			case *packing:
				if z.enc != nil {
					t.Errorf("%s: an encoder waits", text)
				}
			case *unpacking:
				if z.in != nil || z.un != nil {
					t.Errorf("%s: a decoder waits", text)
				}
			}
			return 0, errors.New("failed")
		}})
		z.Read(make([]byte, 100))
		z.Close()
	}
}

// A stage behind a decoder must not take for a silence what is only not decoded
// yet.
func TestWaitOfADecoder(t *testing.T) {
	for i, text := range decoderTexts {
		one := packed(t, encoderTexts[i], []byte("hello"))
		src := &quiet{silent: true}
		src.script = script{give(append(bytes.Clone(one), 0))} // a byte of the next block
		z := work(t, text, src).(*unpacking)
		buf := make([]byte, maxZstdBlock)
		if n, err := z.Read(buf); err != nil || string(buf[:n]) != "hello" {
			t.Fatalf("%s: got %q, %v", text, buf[:n], err)
		}
		if !z.Wait(time.Second) || len(src.waited) > 0 {
			t.Errorf("%s: bytes at hand are waited for", text)
		}
		z.Close()

		src = &quiet{silent: true}
		src.script = script{give(one)}
		z = work(t, text, src).(*unpacking)
		if _, err := z.Read(buf); err != nil {
			t.Fatal(err)
		}
		if z.Wait(time.Second) || len(src.waited) != 1 {
			t.Errorf("%s: a silence is not seen", text)
		}
		z.Close()
	}
}

// Through a chain, a silence of the source is one for every stage.
func TestSilenceThroughAChain(t *testing.T) {
	c, err := ParseChain("s2,zstd:idle=1s,gzip:idle=2s")
	if err != nil {
		t.Fatal(err)
	}
	src := &quiet{script: script{give([]byte("hello")), fails}, silent: true}
	r, closeChain := c.Open(src)
	defer closeChain()
	for {
		if _, err := r.Read(make([]byte, 1000)); err != nil {
			break
		}
	}
	if len(src.waited) < 2 || src.waited[0] != 2*time.Second || src.waited[1] != time.Second {
		t.Errorf("the source was waited for %v", src.waited)
	}
	own := NewStage("own", func(src io.Reader) io.ReadCloser { return io.NopCloser(src) })
	src = &quiet{silent: true}
	r, closeChain = Chain{own}.Open(src)
	defer closeChain()
	if !r.(Waiter).Wait(time.Second) {
		t.Error("a stage that cannot tell says that there is a silence")
	}
}

// A panicking Waiter is one that panics.
type panickingWaiter struct{ io.Reader }

func (panickingWaiter) Close() error            { return nil }
func (panickingWaiter) Wait(time.Duration) bool { panic("boom") }

// A panic while it is waited is no silence, by which a frame would end as if all were
// well: the next Read says why.
func TestPanicWhileWaiting(t *testing.T) {
	stage := NewStage("own", func(src io.Reader) io.ReadCloser { return panickingWaiter{src} })
	r, closeChain := Chain{stage}.Open(strings.NewReader("hello"))
	defer closeChain()
	if !r.(Waiter).Wait(time.Hour) {
		t.Error("the panic is a silence")
	}
	var p *PanicError
	if _, err := r.Read(make([]byte, 10)); !errors.As(err, &p) {
		t.Errorf("got %v, want the panic", err)
	}
}

// A stage that watches passes a silence on: an encoder behind it is let go.
func TestSilenceBehindAWatch(t *testing.T) {
	for _, first := range []string{"count", "hash", "hexdump", "tee:/dev/null", "pcapng:" + t.TempDir() + "/x"} {
		c, err := ParseChain(first + ",gzip:idle=2s")
		if err != nil {
			t.Fatal(err)
		}
		src := &quiet{script: script{give([]byte("hello")), fails}, silent: true}
		r, closeChain := c.Open(src)
		for err = nil; err == nil; {
			_, err = r.Read(make([]byte, 1000))
		}
		closeChain()
		if len(src.waited) == 0 || src.waited[0] != 2*time.Second {
			t.Errorf("%s: the source was waited for %v", first, src.waited)
		}
	}
}

// A decoder that has grown to a large window is not given to a small one.
func TestDecodersBySize(t *testing.T) {
	for _, test := range []struct {
		encoder string
		class   int
	}{{"zstd:window=8M", 23}, {"zstd:window=1k", 10}, {"zstd:window=128k", 17}} {
		z := work(t, "unzstd", &script{give(packed(t, test.encoder, []byte("hello")))}).(*unpacking)
		if _, err := z.Read(make([]byte, maxZstdBlock)); err != nil {
			t.Fatal(err)
		}
		if got := z.un.(*zstdFrame).class; got != test.class {
			t.Errorf("%s: the decoder is of class %d, want %d", test.encoder, got, test.class)
		}
		z.Close()
	}
}
