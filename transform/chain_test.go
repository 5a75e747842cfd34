package transform_test

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"relayd/transform"
)

// The relay finds its socket behind an empty chain by type, and splices. Any
// wrapper would end that.
func TestEmptyChainIsTheSource(t *testing.T) {
	src, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	empty, err := transform.Chain{}.Inverse()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []transform.Chain{nil, {}, empty} {
		r, close := c.Open(src)
		if r != io.Reader(src) {
			t.Errorf("Open returned a %T, not its argument", r)
		}
		for range 2 {
			if err := close(); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := src.Stat(); err != nil {
		t.Errorf("close closed the source: %v", err)
	}
}

// A reader that closes itself would close the last stage only.
func TestChainReaderIsNoCloser(t *testing.T) {
	r, close := transform.Chain{mustParse(t, "gzip")}.Open(strings.NewReader(""))
	defer close()
	if _, ok := r.(io.Closer); ok {
		t.Errorf("%T has a Close of its own", r)
	}
	if _, ok := r.(transform.Readier); !ok {
		t.Errorf("%T is no Readier", r)
	}
}

func TestInverse(t *testing.T) {
	c, err := transform.ParseChain("gzip:level=9,gzip,gunzip")
	if err != nil {
		t.Fatal(err)
	}
	inverse, err := c.Inverse()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := inverse.String(), "gzip,gunzip,gunzip"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}

	c = append(c, transform.NewStage("shred", func(src io.Reader) io.ReadCloser { return io.NopCloser(src) }))
	inverse, err = c.Inverse()
	var e *transform.Error
	if !errors.As(err, &e) || e.Stage != "shred" || e.Op != "invert" {
		t.Errorf("got %v, %v; want an *Error about shred", inverse, err)
	}
}

// stub is a stage made of functions; nil ones do what is usual.
type stub struct {
	src   io.Reader
	read  func(p []byte) (int, error)
	ready func() bool
	close func() error
}

func (s *stub) Read(p []byte) (int, error) {
	if s.read == nil {
		return s.src.Read(p)
	}
	return s.read(p)
}

func (s *stub) Ready() bool {
	if s.ready == nil {
		return s.src.(transform.Readier).Ready()
	}
	return s.ready()
}

func (s *stub) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}

// stubbed is a stage named name; set makes it special.
func stubbed(name string, set func(s *stub)) transform.Stage {
	return transform.NewStage(name, func(src io.Reader) io.ReadCloser {
		s := &stub{src: src}
		if set != nil {
			set(s)
		}
		return s
	})
}

func TestCloseOrder(t *testing.T) {
	var order []string
	var c transform.Chain
	for _, name := range []string{"first", "second", "third", "fourth"} {
		c = append(c, stubbed(name, func(s *stub) {
			s.close = func() error {
				order = append(order, name)
				switch name {
				case "second":
					return errors.New("full disk")
				case "third":
					panic("third is broken")
				}
				return nil
			}
		}))
	}
	_, close := c.Open(strings.NewReader(""))
	first := close()
	second := close()
	if want := []string{"fourth", "third", "second", "first"}; !slices.Equal(order, want) {
		t.Errorf("closed in the order %v, want %v", order, want)
	}
	if got, want := first.Error(), "third: close: panic: third is broken"; got != want {
		t.Errorf("close: got %s, want %s", got, want)
	}
	if second != first {
		t.Errorf("close again: got %v, want the same error", second)
	}
}

func TestPanics(t *testing.T) {
	boom := func() { panic("boom") }
	for _, test := range []struct {
		name string
		set  func(s *stub)
		want string // the error of Read
	}{
		{"open", func(s *stub) { boom() }, "bad: open: panic: boom"},
		{"read", func(s *stub) { s.read = func([]byte) (int, error) { boom(); return 0, nil } }, "bad: panic: boom"},
		{"ready", func(s *stub) { s.ready = func() bool { boom(); return true } }, "bad: panic: boom"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := transform.Chain{mustParse(t, "gzip"), stubbed("bad", test.set), mustParse(t, "gzip")}
			r, close := c.Open(strings.NewReader("hello"))
			defer close()
			_, first := io.ReadAll(r)
			if first == nil || first.Error() != test.want {
				t.Fatalf("got the error %v, want %s", first, test.want)
			}
			var p *transform.PanicError
			if !errors.As(first, &p) || p.Value != "boom" || !strings.Contains(string(p.Stack), "TestPanics") {
				t.Errorf("the error holds %+v, want the panic and its stack", p)
			}
			if _, err := r.Read(make([]byte, 10)); err != first {
				t.Errorf("Read again: got %v, want the same error", err)
			}
			if err := close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// A stage that panics while it reads must not hand its codec on.
func TestPanicOfTheSource(t *testing.T) {
	for _, text := range []string{"gzip", "gunzip"} {
		r := mustParse(t, text).Open(&stub{read: func([]byte) (int, error) { panic("boom") }})
		_, err := r.Read(make([]byte, 10))
		if err == nil || err.Error() != text+": panic: boom" {
			t.Errorf("got %v, want the panic", err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestStageOpenedToNil(t *testing.T) {
	r := transform.NewStage("bad", func(io.Reader) io.ReadCloser { return nil }).Open(nil)
	if _, err := r.Read(make([]byte, 1)); err == nil || err.Error() != "bad: open: no reader was returned" {
		t.Errorf("got %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// panic(io.EOF) is no end.
func TestPanicIsNoEnd(t *testing.T) {
	r := stubbed("bad", func(s *stub) { s.read = func([]byte) (int, error) { panic(io.EOF) } }).Open(nil)
	if _, err := r.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("got %v, want an error that is not io.EOF", err)
	}
}

func TestStageErrors(t *testing.T) {
	broken := errors.New("broken")
	gone := &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer")}
	fails := func(err error) io.Reader { return &stub{read: func([]byte) (int, error) { return 0, err }} }
	for _, test := range []struct {
		name string
		src  io.Reader
		read func(src io.Reader, p []byte) (int, error)
		data string
		want string
		is   error // the error, if it is to come unchanged
	}{
		{"its own", strings.NewReader("x"),
			func(io.Reader, []byte) (int, error) { return 0, broken }, "", "bad: broken", nil},
		{"its own, with bytes", strings.NewReader("x"),
			func(_ io.Reader, p []byte) (int, error) { return copy(p, "abc"), broken }, "abc", "bad: broken", nil},
		{"its end before that of the source", strings.NewReader("x"),
			func(io.Reader, []byte) (int, error) { return 0, io.EOF }, "", "", io.EOF},
		{"the source's", fails(gone),
			func(src io.Reader, p []byte) (int, error) { return src.Read(p) }, "", "", gone},
		{"the source's, taken for an end", fails(gone),
			func(src io.Reader, p []byte) (int, error) { src.Read(p); return 0, io.EOF }, "", "", gone},
		{"the source's, dressed up", fails(gone),
			func(src io.Reader, p []byte) (int, error) { src.Read(p); return 0, broken }, "", "", gone},
		{"the source's, truncated", fails(io.ErrUnexpectedEOF),
			func(src io.Reader, p []byte) (int, error) { return src.Read(p) }, "", "", io.ErrUnexpectedEOF},
		{"an invalid count", strings.NewReader("x"),
			func(_ io.Reader, p []byte) (int, error) { return len(p) + 1, nil }, "",
			"bad: stage returned an invalid count from Read", nil},
		{"an invalid count of the source", &stub{read: func(p []byte) (int, error) { return -1, nil }},
			func(src io.Reader, p []byte) (int, error) { return src.Read(p) }, "",
			"source returned an invalid count from Read", nil},
		{"a source that returns nothing", fails(nil),
			func(src io.Reader, p []byte) (int, error) { return src.Read(p) }, "", "", io.ErrNoProgress},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := stubbed("bad", func(s *stub) {
				s.read = func(p []byte) (int, error) { return test.read(s.src, p) }
			}).Open(test.src)
			defer r.Close()
			data, err := io.ReadAll(r)
			if err == nil {
				err = io.EOF
			}
			if string(data) != test.data {
				t.Errorf("got %q, want %q", data, test.data)
			}
			switch {
			case test.is != nil && err != test.is:
				t.Errorf("got the error %v, want %v itself", err, test.is)
			case test.is == nil && (err == nil || err.Error() != test.want):
				t.Errorf("got the error %v, want %s", err, test.want)
			}
			if _, again := r.Read(make([]byte, 1)); again != err {
				t.Errorf("Read again: got %v, want the same error", again)
			}
		})
	}
}

// Errors of types that cannot be compared are rare, and must not panic.
func TestUncomparableSourceError(t *testing.T) {
	for _, text := range []string{"gzip", "gunzip", "gzip,gunzip"} {
		r := chain(t, text)(&stub{read: func([]byte) (int, error) { return 0, manyErrors{"one", "two"} }})
		_, err := r.Read(make([]byte, 10))
		if _, ok := err.(manyErrors); !ok {
			t.Errorf("%s: got %v, want the source's own", text, err)
		}
		r.Close()
	}
}

type manyErrors []string

func (m manyErrors) Error() string { return strings.Join(m, ", ") }

func TestReadAfterClose(t *testing.T) {
	r := mustParse(t, "gzip").Open(strings.NewReader("hello"))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := r.Read(make([]byte, 100))
	if !errors.Is(err, transform.ErrClosed) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want ErrClosed, which is net.ErrClosed", err)
	}
	if got, want := err.Error(), "gzip: stage is closed"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestEmptyRead(t *testing.T) {
	r := chain(t, "gzip,gunzip")(&stub{read: func([]byte) (int, error) { panic("read") }})
	defer r.Close()
	if n, err := r.Read(nil); n != 0 || err != nil {
		t.Errorf("got %d, %v; want 0, nil, and the source left alone", n, err)
	}
}

func TestMisuse(t *testing.T) {
	for name, f := range map[string]func(){
		"zero stage":  func() { transform.Stage{}.Open(strings.NewReader("")) },
		"zero in one": func() { transform.Chain{{}}.Open(strings.NewReader("")) },
		"no name":     func() { transform.NewStage("", func(io.Reader) io.ReadCloser { return nil }) },
		"no function": func() { transform.NewStage("x", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if v, _ := recover().(string); !strings.HasPrefix(v, "transform: ") {
					t.Errorf("got the panic %q, want one of this package", v)
				}
			}()
			f()
		})
	}
}
