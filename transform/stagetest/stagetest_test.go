package stagetest

// The checks must see a bad stage. Each bad one here breaks one promise, and
// the check of that promise has to say so.

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"relayd/transform"
)

// A pass is a stage that keeps every promise and changes nothing.
type pass struct {
	src    io.Reader
	err    error
	closed bool
}

func (p *pass) Read(b []byte) (int, error) {
	if p.err == nil && p.closed {
		p.err = errors.New("closed")
	}
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.src.Read(b)
	p.err = err
	if n > 0 {
		err = nil
	}
	return n, err
}

func (p *pass) Ready() bool {
	r, ok := p.src.(transform.Readier)
	return p.err != nil || ok && r.Ready()
}

func (p *pass) Close() error {
	p.closed = true
	return nil
}

func openPass(src io.Reader) io.ReadCloser { return &pass{src: src} }

// hoarder waits for everything before it gives anything.
type hoarder struct {
	pass
	all  []byte
	full bool
}

func (h *hoarder) Read(b []byte) (int, error) {
	if !h.full && !h.closed {
		h.full = true
		h.all, h.err = io.ReadAll(h.src)
		if h.err == nil {
			h.err = io.EOF
		}
	}
	if len(h.all) == 0 {
		return h.pass.Read(b)
	}
	n := copy(b, h.all)
	h.all = h.all[n:]
	return n, nil
}

func (h *hoarder) Ready() bool { return len(h.all) > 0 || h.pass.Ready() }

// forgiver takes an error for an end.
type forgiver struct{ pass }

func (f *forgiver) Read(b []byte) (int, error) {
	n, err := f.pass.Read(b)
	if err != nil && !f.closed {
		f.err, err = io.EOF, io.EOF
	}
	return n, err
}

// wrapper dresses the source's error up.
type wrapper struct{ pass }

type wrapped struct{ error }

func (w *wrapper) Read(b []byte) (int, error) {
	n, err := w.pass.Read(b)
	if err != nil && err != io.EOF {
		err = wrapped{err}
	}
	return n, err
}

// asker reads on after the end.
type asker struct{ pass }

func (a *asker) Read(b []byte) (int, error) {
	if a.err == io.EOF {
		return a.src.Read(b)
	}
	return a.pass.Read(b)
}

// cutter loses what does not fit.
type cutter struct{ pass }

func (c *cutter) Read(b []byte) (int, error) {
	big := make([]byte, 1000)
	n, err := c.pass.Read(big)
	return copy(b, big[:n]), err
}

// dropper closes its source.
type dropper struct{ pass }

func (d *dropper) Close() error {
	if c, ok := d.src.(io.Closer); ok {
		c.Close()
	}
	return d.pass.Close()
}

// strict cannot be closed twice.
type strict struct{ pass }

func (s *strict) Close() error {
	if s.closed {
		return errors.New("closed already")
	}
	return s.pass.Close()
}

// zombie reads on after Close.
type zombie struct{ pass }

func (z *zombie) Close() error { return nil }

// eager is always ready.
type eager struct{ pass }

func (e *eager) Ready() bool { return true }

// shy never is, though it reads ahead.
type shy struct{ hoarder }

func (s *shy) Read(b []byte) (int, error) {
	if len(s.all) == 0 && s.err == nil && !s.closed {
		ahead := make([]byte, 5000)
		n, err := s.pass.Read(ahead)
		s.full, s.all, s.err = true, ahead[:n], err
	}
	if len(s.all) == 0 {
		return s.pass.Read(b)
	}
	return s.hoarder.Read(b)
}

func (s *shy) Ready() bool { return s.err != nil && len(s.all) == 0 }

// leaker starts a goroutine and forgets it.
type leaker struct{ pass }

var leaked chan struct{}

func (l *leaker) Close() error {
	go waitFor(leaked)
	return l.pass.Close()
}

func waitFor(c <-chan struct{}) { <-c }

func TestGoodStagePasses(t *testing.T) {
	TestStage(t, openPass, Options{})
	TestStage(t, openPass, Options{Decode: openPass})
	TestStage(t, openPass, Options{Input: []byte("abc"), Want: []byte("abc")})
}

func TestBadStagesAreFound(t *testing.T) {
	leaked = make(chan struct{})
	defer close(leaked)
	for _, test := range []struct {
		name  string
		open  func(src io.Reader) io.ReadCloser
		found []string // the checks that must fail
	}{
		{"hoarder", func(src io.Reader) io.ReadCloser { return &hoarder{pass: pass{src: src}} }, []string{"interactive"}},
		{"forgiver", func(src io.Reader) io.ReadCloser { return &forgiver{pass{src: src}} }, []string{"failure"}},
		{"wrapper", func(src io.Reader) io.ReadCloser { return &wrapper{pass{src: src}} }, []string{"failure"}},
		{"asker", func(src io.Reader) io.ReadCloser { return &asker{pass{src: src}} }, []string{"end"}},
		{"cutter", func(src io.Reader) io.ReadCloser { return &cutter{pass{src: src}} }, []string{"splits", "ready-complete"}},
		{"dropper", func(src io.Reader) io.ReadCloser { return &dropper{pass{src: src}} }, []string{"close"}},
		{"strict", func(src io.Reader) io.ReadCloser { return &strict{pass{src: src}} }, []string{"close"}},
		{"zombie", func(src io.Reader) io.ReadCloser { return &zombie{pass{src: src}} }, []string{"close"}},
		{"eager", func(src io.Reader) io.ReadCloser { return &eager{pass{src: src}} }, []string{"ready-honest"}},
		{"shy", func(src io.Reader) io.ReadCloser { return &shy{hoarder{pass: pass{src: src}}} }, []string{"ready-complete"}},
		{"leaker", func(src io.Reader) io.ReadCloser { return &leaker{pass{src: src}} }, []string{"goroutines"}},
		{"unready", func(src io.Reader) io.ReadCloser { return io.NopCloser(src) }, []string{"ready-honest", "close"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			expectFailures(t, newSubject(test.open, Options{}), test.found)
		})
	}
}

// A stage that reads ahead is not asked when it reads.
func TestAheadIsChecked(t *testing.T) {
	TestStage(t, openPass, Options{Ahead: true})
	for name, test := range map[string]struct {
		open  func(src io.Reader) io.ReadCloser
		found []string
	}{
		"lagger":  {func(src io.Reader) io.ReadCloser { return &lagger{pass: pass{src: src}} }, []string{"interactive", "ready-honest"}},
		"eager":   {func(src io.Reader) io.ReadCloser { return &eager{pass{src: src}} }, []string{"ready-honest"}},
		"upper":   {func(src io.Reader) io.ReadCloser { return &upper{pass{src: src}} }, []string{"interactive"}},
		"unready": {func(src io.Reader) io.ReadCloser { return io.NopCloser(src) }, []string{"ready-honest"}},
	} {
		t.Run(name, func(t *testing.T) {
			expectFailures(t, newSubject(test.open, Options{Ahead: true}), test.found)
		})
	}
}

// lagger is one byte behind.
type lagger struct {
	pass
	last []byte
}

func (l *lagger) Read(b []byte) (int, error) {
	for {
		one := make([]byte, 1)
		n, err := l.pass.Read(one)
		last := l.last
		l.last = one[:n]
		if len(last) > 0 {
			return copy(b, last), nil
		}
		if err != nil {
			return 0, err
		}
	}
}

func TestTruncationIsChecked(t *testing.T) {
	expectFailures(t, newSubject(openPass, Options{
		Input:    []byte("abc"),
		Want:     []byte("abc"),
		Complete: true,
	}), []string{"truncation"})
}

func TestWrongOutputIsFound(t *testing.T) {
	expectFailures(t, newSubject(openPass, Options{
		Input: []byte("abc"),
		Want:  []byte("abd"),
	}), []string{"splits", "failure"})
}

// A stage that keeps what it has seen is found, and so is one that reads on
// while nobody reads it.
func TestMemoryIsMeasured(t *testing.T) {
	for name, open := range map[string]func(src io.Reader) io.ReadCloser{
		"keeper":  func(src io.Reader) io.ReadCloser { return &keeper{pass: pass{src: src}} },
		"glutton": func(src io.Reader) io.ReadCloser { return &glutton{hoarder{pass: pass{src: src}}} },
	} {
		t.Run(name, func(t *testing.T) {
			expectFailures(t, newSubject(open, Options{Memory: 256 << 10}), []string{"memory"})
		})
	}
	if err := newSubject(openPass, Options{Memory: 64 << 10}).memory(); err != nil {
		t.Error(err)
	}
}

type keeper struct {
	pass
	seen []byte
}

func (k *keeper) Read(b []byte) (int, error) {
	n, err := k.pass.Read(b)
	k.seen = append(k.seen, b[:n]...)
	return n, err
}

// glutton reads a megabyte ahead.
type glutton struct{ hoarder }

func (g *glutton) Read(b []byte) (int, error) {
	if len(g.all) == 0 && g.err == nil && !g.closed {
		g.all, g.full = make([]byte, 1<<20), true
		var n int
		n, g.err = io.ReadFull(g.src, g.all)
		g.all = g.all[:n]
	}
	return g.hoarder.Read(b)
}

func TestChainIsAStage(t *testing.T) {
	own := transform.NewStage("own", openPass)
	TestStage(t, Chain(transform.Chain{own, own}), Options{Memory: 64 << 10})
}

func TestBrokenInverseIsFound(t *testing.T) {
	caseless := func(src io.Reader) io.ReadCloser { return &upper{pass{src: src}} }
	expectFailures(t, newSubject(openPass, Options{Decode: caseless}), []string{"splits", "interactive"})
}

type upper struct{ pass }

func (u *upper) Read(b []byte) (int, error) {
	n, err := u.pass.Read(b)
	copy(b, bytes.ToUpper(b[:n]))
	return n, err
}

func expectFailures(t *testing.T, s *subject, want []string) {
	t.Helper()
	s.patience = 20 * time.Millisecond
	for _, c := range checks {
		if !slices.Contains(want, c.name) {
			continue
		}
		if err := c.check(s); err != nil {
			t.Logf("%s: %v", c.name, err)
		} else {
			t.Errorf("the check %q passes, and should not", c.name)
		}
	}
}
