package wasm

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"relayd/lifetime"
	"relayd/tests/leak"
	"relayd/transform"
	"relayd/transform/stagetest"
)

// patience bounds every wait.
const patience = 20 * time.Second

func parse(t testing.TB, text string) transform.Stage {
	t.Helper()
	s, err := transform.ParseStage(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStage(t *testing.T) {
	for _, text := range []string{"wasm:testdata/guest.wasm,args=copy", "wasm:testdata/guest.wasm,args=copy,memory=1MiB,trusted=true"} {
		t.Run(text, func(t *testing.T) {
			leak.Check(t)
			stagetest.TestStage(t, parse(t, text).Open, stagetest.Options{Ahead: true})
		})
	}
}

// A chain of several, in which each reads the one before on its own goroutine.
func TestChain(t *testing.T) {
	leak.Check(t)
	c, err := transform.ParseChain("wasm:testdata/guest.wasm,args=copy,gzip,wasm:testdata/guest.wasm,args=copy,exec:cat,gunzip")
	if err != nil {
		t.Fatal(err)
	}
	stagetest.TestStage(t, func(src io.Reader) io.ReadCloser {
		r, close := c.Open(src)
		return &opened{r.(link), close}
	}, stagetest.Options{Ahead: true})
}

type link interface {
	io.Reader
	transform.Readier
}

type opened struct {
	link
	close func() error
}

func (o *opened) Close() error { return o.close() }

func TestExamples(t *testing.T) {
	leak.Check(t)
	rot13 := filepath.Join(t.TempDir(), "rot13.wasm")
	build := exec.Command("go", "build", "-o", rot13, "./testdata/rot13")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for file, want := range map[string]string{
		"testdata/upper.wasm": "HELLO, WORLD\n",
		rot13:                 "Uryyb, Jbeyq\n",
	} {
		src := newSource()
		r := parse(t, "wasm:"+file).Open(src)
		for _, piece := range []string{"Hello, ", "World\n"} {
			src.give(piece)
			got := make([]byte, len(piece))
			if _, err := io.ReadFull(r, got); err != nil || string(got) != want[:len(piece)] {
				t.Errorf("%s: got %q, %v; want %q", file, got, err, want[:len(piece)])
			}
			want = want[len(piece):]
		}
		src.end(io.EOF)
		if rest, err := io.ReadAll(r); len(rest) != 0 || err != nil {
			t.Errorf("%s: at the end: %q, %v", file, rest, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A slowSource is what a test feeds a stage with, piece by piece. It waits for
// the next one.
type slowSource struct {
	pieces chan []byte
	once   sync.Once
	ended  chan struct{}
	err    error // once ended is closed
	hand   []byte
}

func newSource() *slowSource {
	return &slowSource{pieces: make(chan []byte, 200), ended: make(chan struct{})}
}

func (s *slowSource) Read(p []byte) (int, error) {
	for len(s.hand) == 0 {
		select {
		case s.hand = <-s.pieces:
			continue
		default:
		}
		select {
		case s.hand = <-s.pieces:
		case <-s.ended:
			if len(s.pieces) == 0 {
				return 0, s.err
			}
		}
	}
	n := copy(p, s.hand)
	s.hand = s.hand[n:]
	return n, nil
}

func (s *slowSource) give(text string) { s.pieces <- []byte(text) }

// end ends it, once.
func (s *slowSource) end(err error) {
	s.once.Do(func() {
		s.err = err
		close(s.ended)
	})
}

// a guest is the module guest at work.
type guest struct {
	io.Reader
	close func() error
	site  *transform.Site
	src   *slowSource
	log   bytes.Buffer // to be read when the stream has ended
}

func run(t *testing.T, args, options string) *guest {
	t.Helper()
	leak.Check(t)
	g := &guest{src: newSource()}
	g.site = &transform.Site{Conn: "c1", Direction: "up", Log: slog.New(slog.NewTextHandler(&g.log, nil))}
	c := transform.Chain{parse(t, "wasm:testdata/guest.wasm,args="+args+options)}
	g.Reader, g.close = c.OpenAt(g.src, g.site)
	late := time.AfterFunc(patience, func() {
		t.Error("a Read does not return")
		g.site.Cut()
	})
	t.Cleanup(func() {
		late.Stop()
		g.src.end(net.ErrClosed)
		if err := g.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return g
}

// ends reads to the end.
func (g *guest) ends(t *testing.T, want string) error {
	t.Helper()
	got, err := io.ReadAll(g)
	if string(got) != want {
		t.Errorf("got %.100q (%d bytes), want %.100q", got, len(got), want)
	}
	for range 3 {
		if n, again := g.Read(make([]byte, 10)); n != 0 || again != err && !(err == nil && again == io.EOF) {
			t.Errorf("after %v: %d, %v", err, n, again)
		}
	}
	return err
}

// says reads a line.
func (g *guest) says(t *testing.T, want string) {
	t.Helper()
	got := make([]byte, len(want)+1)
	if n, err := io.ReadFull(g, got); err != nil || string(got) != want+"\n" {
		t.Fatalf("got %q, %v; want %q", got[:n], err, want)
	}
}

func TestEnds(t *testing.T) {
	for args, want := range map[string]string{
		"copy":                             "",
		"copy exit=0":                      "",
		"copy exit=3":                      "wasm: the module exited with code 3",
		"copy cry=broken cry=badly exit=3": "wasm: the module exited with code 3: badly",
		"copy trap":                        "wasm: the module trapped: unreachable",
		"copy deep":                        "wasm: the module trapped: out of bounds memory access",
		"copy what":                        "wasm: the module exited with code 7",
	} {
		g := run(t, args, "")
		g.src.give("abc")
		g.src.end(io.EOF)
		err := g.ends(t, "abc")
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%s: got %v, want %s", args, err, want)
		}
		var stage *transform.Error
		if err != nil && !errors.As(err, &stage) {
			t.Errorf("%s: %v is no *Error", args, err)
		}
	}
}

// A trap says where in the log.
func TestTrapLog(t *testing.T) {
	g := run(t, "trap", "")
	if err := g.ends(t, ""); err == nil {
		t.Error("no error")
	}
	if log := g.log.String(); !strings.Contains(log, "msg=trap id=c1 direction=up") || !strings.Contains(log, "wasm stack trace") {
		t.Errorf("the log is %q", log)
	}
}

// A module that ends before its input does ends the stream.
func TestEndsEarly(t *testing.T) {
	g := run(t, "copy=3", "")
	g.src.give("abcdef")
	if err := g.ends(t, "abc"); err != nil {
		t.Error(err)
	}
}

// A shutdown of the resource that owns the chain ends the module, and says so.
func TestOwner(t *testing.T) {
	leak.Check(t)
	owner := &ownerNode{}
	if err := ownerKind.Init(owner, nil, lifetime.Refcount); err != nil {
		t.Fatal(err)
	}
	src, stage := newSource(), parse(t, "wasm:testdata/guest.wasm,args=say=ready spin")
	r, close := transform.Chain{stage}.OpenAt(src, &transform.Site{Owner: &owner.Node})
	if _, err := io.ReadFull(r, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	owner.BeginShutdown(errors.New("the test says so"))
	if _, err := io.ReadAll(r); !errors.Is(err, lifetime.ErrShutdown) {
		t.Errorf("got %v", err)
	}
	src.end(net.ErrClosed)
	if err := close(); err != nil {
		t.Error(err)
	}
	<-owner.Done()
	r, close = transform.Chain{stage}.OpenAt(src, &transform.Site{Owner: &owner.Node})
	defer close()
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, lifetime.ErrShutdown) {
		t.Errorf("below one that was shut down: %v", err)
	}
}

type ownerNode struct{ lifetime.Node }

var ownerKind = lifetime.NewKind(lifetime.Hooks[ownerNode]{Name: "owner"})

// Many streams of one module are side by side, and it was compiled once.
func TestBeside(t *testing.T) {
	leak.Check(t)
	stage := parse(t, "wasm:testdata/upper.wasm")
	again := parse(t, "wasm:./testdata/upper.wasm,args=x")
	var wg sync.WaitGroup
	for i := range 50 {
		s := []transform.Stage{stage, again}[i%2]
		wg.Go(func() {
			r := s.Open(strings.NewReader(strings.Repeat("abc", i*100)))
			defer r.Close()
			got, err := io.ReadAll(r)
			if string(got) != strings.Repeat("ABC", i*100) || err != nil {
				t.Errorf("%d: got %d bytes, %v", i, len(got), err)
			}
		})
	}
	wg.Wait()
	runtime.KeepAlive(stage)
}
