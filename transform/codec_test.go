package transform

// Which codecs may be handed on to another stream.

import (
	"errors"
	"io"
	"testing"
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

// A codec that was left by a panic is in nobody knows which state.
func TestSpoiltCodecsAreDropped(t *testing.T) {
	buf := make([]byte, gunzipWindow)

	z := &gzip{src: new(source), level: 6}
	z.src.reset(&script{give([]byte("hello")), boom}, nowhere)
	n, err := z.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	packed := append([]byte(nil), buf[:n]...)
	enc := z.enc
	panics(t, z, buf)
	z.Close()
	if got := gzipEncoders[6].Get(); got == enc {
		t.Error("gzip handed on an encoder after a panic")
	}

	for name, end := range map[string]func([]byte) (int, error){"a panic": boom, "an error": fails} {
		u := &gunzip{src: new(source)}
		u.src.reset(&script{give(packed), end}, nowhere)
		if _, err := u.Read(buf); err != nil {
			t.Fatal(err)
		}
		dec := u.dec
		if name == "a panic" {
			panics(t, u, buf)
		} else if _, err := u.Read(buf); err == nil {
			t.Fatal("no error")
		}
		u.Close()
		if got := gzipDecoders.Get(); got == dec {
			t.Errorf("gunzip handed on a decoder after %s", name)
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
