package relay

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"relayd/tests/leak"
	"relayd/transform"
)

func tap(t *testing.T, s *Server, id string, o TapOptions) *Tap {
	t.Helper()
	x, err := s.Tap(id, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

// next returns the next event, in time.
func (x *Tap) next(t *testing.T) TapEvent {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), testPatience)
	defer stop()
	e, err := x.Next(ctx)
	if err != nil {
		t.Fatalf("no event, but %v", err)
	}
	return e
}

// wantData wants text from a side, in however many events.
func (x *Tap) wantData(t *testing.T, from Side, text string) {
	t.Helper()
	for text != "" {
		e := x.next(t)
		if e.From != from || e.End != "" || !strings.HasPrefix(text, string(e.Data)) {
			t.Fatalf("seen %q from %v, end %q; want %q from %v", e.Data, e.From, e.End, text, from)
		}
		text = text[len(e.Data):]
	}
}

// wantEnd wants an end that contains a word.
func (x *Tap) wantEnd(t *testing.T, from Side, how string) {
	t.Helper()
	if e := x.next(t); e.From != from || e.End == "" || !strings.Contains(e.End, how) {
		t.Errorf("seen the end %q from %v (%d bytes), want %q from %v", e.End, e.From, len(e.Data), how, from)
	}
}

// wantOver wants nothing more, for ever.
func (x *Tap) wantOver(t *testing.T) {
	t.Helper()
	for range 2 {
		if e, err := x.Next(t.Context()); err != io.EOF {
			t.Errorf("after the conn's end: %+v, %v; want EOF", e, err)
		}
	}
}

// A tapChecker compares what taps of a load see with what flows.
type tapChecker struct {
	at   [2]int64
	seen int64
	miss int64
}

func (k *tapChecker) check(e TapEvent) error {
	i, p := 0, upward1
	if e.From == Upstream {
		i, p = 1, downward1
	}
	if e.From == Us || e.End != "" {
		return nil
	}
	if k.at[i] != 0 && e.Offset != k.at[i]+e.Missed {
		return fmt.Errorf("%v: after byte %d came byte %d with %d said to be missed", e.From, k.at[i], e.Offset, e.Missed)
	}
	k.at[i] = e.Offset + int64(len(e.Data))
	k.seen += int64(len(e.Data))
	k.miss += e.Missed
	return p.differs(e.Data, e.Offset)
}

// Taps come and go under load. Both streams arrive as they were sent, and what
// the taps see is what was sent, at the place where it was, on both sides of
// stages and without any.
func TestTapUnderLoad(t *testing.T) {
	for _, stages := range []transform.Chain{nil, {through}, chain(t, "gzip:level=1,gunzip")} {
		t.Run(stages.String(), func(t *testing.T) {
			leak.Check(t)
			u := listen(t)
			s, log := start(t, Config{To: u.addr, Up: stages, Down: stages})
			seen := int64(0)
			underLoad(t, s, log, u, 60, func(id string, i int) {
				x := tap(t, s, id, TapOptions{At: []TapPlace{AtClient, AtUpstream}[i%2]})
				defer x.Close()
				var k tapChecker
				for range 4 {
					if err := k.check(x.next(t)); err != nil {
						t.Error(err)
					}
				}
				seen += k.seen
			})
			if seen < 100_000 {
				t.Errorf("only %d bytes were seen: that proves little", seen)
			}
		})
	}
}

// Chains change and taps come and go at once.
func TestTapWhileChainsChange(t *testing.T) {
	leak.Check(t)
	u := listen(t)
	s, log := start(t, Config{To: u.addr})
	underLoad(t, s, log, u, 60, func(id string, i int) {
		x := tap(t, s, id, TapOptions{At: AtClient})
		defer x.Close()
		stages := transform.Chain{through}[:i%2]
		setChains(t, s, id, stages, stages)
		var k tapChecker
		for range 4 {
			e := x.next(t)
			if e.From == Upstream {
				continue // it may be seen before the stage that has come, and after
			}
			if err := k.check(e); err != nil {
				t.Error(err)
			}
		}
	})
}

// A conn on a loop stays there while it is watched. The half-close passes, and is
// seen in its place.
func TestTapHalfClose(t *testing.T) {
	leak.Check(t)
	u := listen(t)
	s, log := start(t, Config{To: u.addr})
	c := dial(t, s.Addrs()[0])
	up := u.accept(t)
	send(t, c, "before")
	wantText(t, up, "before")
	id := onlyConn(t, s)
	x := tap(t, s, id, TapOptions{})
	send(t, c, "question")
	wantText(t, up, "question")
	x.wantData(t, Client, "question")
	if looped(s) && !s.Conns()[0].Loop {
		t.Error("a tap takes the conn off its loop")
	}
	finish(t, c)
	wantEOF(t, up)
	x.wantEnd(t, Client, "fin")
	late := tap(t, s, id, TapOptions{})
	late.wantEnd(t, Client, "")
	send(t, up, "answer")
	wantText(t, c, "answer")
	x.wantData(t, Upstream, "answer")
	late.wantData(t, Upstream, "answer")
	finish(t, up)
	wantEOF(t, c)
	log.wantEnd(t, EOF, Client)
	for _, x := range []*Tap{x, late} {
		x.wantEnd(t, Upstream, "fin")
		x.wantEnd(t, Us, "eof")
		x.wantOver(t)
	}
}

// Resets and kills pass as always, and are seen.
func TestTapEnds(t *testing.T) {
	for _, stages := range []transform.Chain{nil, chain(t, "gzip,gunzip")} {
		t.Run("reset "+stages.String(), func(t *testing.T) {
			leak.Check(t)
			u := listen(t)
			s, log := start(t, Config{To: u.addr, Up: stages, Down: stages})
			c := dial(t, s.Addrs()[0])
			up := u.accept(t)
			x := tap(t, s, onlyConn(t, s), TapOptions{})
			send(t, c, "last words")
			wantText(t, up, "last words")
			reset(c)
			wantReset(t, up)
			log.wantEnd(t, ResetClient, Client)
			x.wantData(t, Client, "last words")
			x.wantEnd(t, Client, "reset")
			x.wantEnd(t, Upstream, "")
			x.wantEnd(t, Us, "reset-client")
			x.wantOver(t)
		})
		t.Run("kill "+stages.String(), func(t *testing.T) {
			leak.Check(t)
			u := listen(t)
			s, _ := start(t, Config{To: u.addr, Up: stages, Down: stages})
			c := dial(t, s.Addrs()[0])
			up := u.accept(t)
			id := onlyConn(t, s)
			x := tap(t, s, id, TapOptions{})
			send(t, c, "last words")
			wantText(t, up, "last words")
			x.wantData(t, Client, "last words")
			if _, err := s.Kill(t.Context(), id); err != nil {
				t.Error(err)
			}
			wantReset(t, c)
			wantReset(t, up)
			for e := x.next(t); e.From != Us; e = x.next(t) {
				if e.End == "" || e.End == "fin" {
					t.Errorf("a kill looks like %+v", e)
				}
			}
			x.wantOver(t)
		})
	}
}

// The sides of a tunnel's ends: plain is text at both, wire is not.
func TestTapPlaces(t *testing.T) {
	codec, undo := chain(t, "gzip"), chain(t, "gunzip")
	tests := []struct {
		name        string
		up, down    transform.Chain
		plain, wire Side
	}{
		{"near", codec, undo, Client, Upstream},
		{"far", undo, codec, Upstream, Client},
		{"near, one way", codec, nil, Client, Upstream},
		{"far, one way", nil, codec, Upstream, Client},
		{"none", nil, nil, Client, Upstream},
		{"others", transform.Chain{through}, transform.Chain{through}, Client, Upstream},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			leak.Check(t)
			u := listen(t)
			s, _ := start(t, Config{To: u.addr, Up: tt.up, Down: tt.down})
			c := dial(t, s.Addrs()[0])
			up := u.accept(t)
			id := onlyConn(t, s)
			if got := tap(t, s, id, TapOptions{At: AtPlain}).Side(); got != tt.plain {
				t.Errorf("plain is the side of %v", got)
			}
			if got := tap(t, s, id, TapOptions{At: AtWire}).Side(); got != tt.wire {
				t.Errorf("wire is the side of %v", got)
			}
			finish(t, up)
			finish(t, c)
		})
	}
}

// Each side of a stage sees what is there.
func TestTapSides(t *testing.T) {
	leak.Check(t)
	u := listen(t)
	s, _ := start(t, Config{To: u.addr, Up: chain(t, "gzip"), Down: transform.Chain{twice}})
	c := dial(t, s.Addrs()[0])
	up := u.accept(t)
	id := onlyConn(t, s)
	client := tap(t, s, id, TapOptions{At: AtClient})
	upstream := tap(t, s, id, TapOptions{At: AtUpstream})
	send(t, c, "packed")
	finish(t, c)
	got, err := io.ReadAll(up)
	if err != nil {
		t.Fatal(err)
	}
	client.wantData(t, Client, "packed")
	client.wantEnd(t, Client, "fin")
	var wire []byte
	for e := upstream.next(t); e.End == ""; e = upstream.next(t) {
		if e.Offset != int64(len(wire)) {
			t.Errorf("an event at %d after %d bytes", e.Offset, len(wire))
		}
		wire = append(wire, e.Data...)
	}
	if !bytes.Equal(wire, got) {
		t.Errorf("seen %d bytes on their way to the upstream, or others, where %d arrived", len(wire), len(got))
	}
	if z, err := gzip.NewReader(bytes.NewReader(wire)); err != nil {
		t.Error(err)
	} else if text, err := io.ReadAll(z); string(text) != "packed" || err != nil {
		t.Errorf("what was seen unpacks to %q, %v", text, err)
	}
	send(t, up, "ab")
	wantText(t, c, "aabb")
	upstream.wantData(t, Upstream, "ab")
	client.wantData(t, Upstream, "aabb")
	finish(t, up)
	wantEOF(t, c)
}

// Offsets are those of the side that is watched, also when the stages that made the
// sides differ are gone.
func TestTapOffsetsAfterStages(t *testing.T) {
	leak.Check(t)
	u := listen(t)
	s, _ := start(t, Config{To: u.addr, Up: transform.Chain{twice}, Down: transform.Chain{half}})
	c := dial(t, s.Addrs()[0])
	up := u.accept(t)
	send(t, c, "abc")
	wantText(t, up, "aabbcc")
	send(t, up, "ddee")
	wantText(t, c, "de")
	id := onlyConn(t, s)
	setChains(t, s, id, nil, nil)
	places := []TapPlace{AtClient, AtUpstream}
	var taps [2]*Tap
	for i, at := range places {
		taps[i] = tap(t, s, id, TapOptions{At: at})
	}
	send(t, c, "f")
	wantText(t, up, "f")
	send(t, up, "g")
	wantText(t, c, "g")
	for i, want := range [][2]int64{{3, 2}, {6, 4}} {
		for _, offset := range want {
			if e := taps[i].next(t); e.Offset != offset || len(e.Data) != 1 {
				t.Errorf("at %v: %q from %v at %d, want %d", places[i], e.Data, e.From, e.Offset, offset)
			}
		}
	}
	finish(t, c)
	finish(t, up)
	wantEOF(t, c)
}

// A watcher that does not watch stalls nothing. What it has not seen is counted.
func TestTapSlow(t *testing.T) {
	leak.Check(t)
	u := listen(t)
	s, log := start(t, Config{To: u.addr})
	const queue = 200_000
	c := dial(t, s.Addrs()[0])
	up := u.accept(t)
	x := tap(t, s, onlyConn(t, s), TapOptions{Queue: queue})
	n := upward1.send(c, up, sixteenMiB).arrives(t)
	finish(t, up)
	wantEOF(t, c)
	log.wantEnd(t, EOF, Client)
	var k tapChecker
	for {
		e, err := x.Next(t.Context())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := k.check(e); err != nil {
			t.Error(err)
		}
		if e.End != "" {
			k.miss += e.Missed
		}
	}
	if k.seen > queue || k.seen == 0 || k.seen+k.miss != n {
		t.Errorf("seen %d bytes and missed %d of %d, with a queue of %d", k.seen, k.miss, n, queue)
	}
}

// A tap can come while its conn dials, be closed at any time, and wait in vain.
func TestTapCloses(t *testing.T) {
	leak.Check(t)
	u := listen(t)
	s, _ := start(t, Config{To: u.addr})
	if _, err := s.Tap("none", TapOptions{}); err != ErrNoConn {
		t.Errorf("of no conn: %v", err)
	}
	c := dial(t, s.Addrs()[0])
	up := u.accept(t)
	id := onlyConn(t, s)
	var taps []*Tap
	for range MaxTaps {
		taps = append(taps, tap(t, s, id, TapOptions{}))
	}
	if _, err := s.Tap(id, TapOptions{}); err != ErrTooManyTaps {
		t.Errorf("one tap more than there may be: %v", err)
	}
	now, stop := context.WithCancelCause(t.Context())
	stop(errors.New("enough"))
	if _, err := taps[0].Next(now); err == nil || err.Error() != "enough" {
		t.Errorf("with a context that has ended: %v", err)
	}
	waits := make(chan error, 1)
	go func() {
		_, err := taps[1].Next(t.Context())
		waits <- err
	}()
	for range 2 {
		for _, x := range taps {
			x.Close()
		}
	}
	if err := <-waits; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a Next during the Close: %v", err)
	}
	send(t, c, "unseen")
	wantText(t, up, "unseen")
	if n := len(s.find(id).taps()); n != 0 {
		t.Errorf("%d taps are left", n)
	}
	x := tap(t, s, id, TapOptions{})
	send(t, c, "seen")
	wantText(t, up, "seen")
	x.wantData(t, Client, "seen")
	finish(t, c)
	finish(t, up)
	wantEOF(t, c)
}

// A conn that is still dialling is watched from its first byte.
func TestTapWhileDialling(t *testing.T) {
	leak.Check(t)
	s, _ := start(t, Config{To: address(t, "exec:///bin/cat")})
	c := dial(t, s.Addrs()[0])
	send(t, c, "first")
	eventually(t, "a conn", func() bool { return len(s.Conns()) == 1 })
	x := tap(t, s, onlyConn(t, s), TapOptions{})
	wantText(t, c, "first")
	send(t, c, "second")
	wantText(t, c, "second")
	var up, down int64
	for up < 11 || down < 11 {
		e := x.next(t)
		if e.From == Client {
			up = e.Offset + int64(len(e.Data))
		} else {
			down = e.Offset + int64(len(e.Data))
		}
	}
	finish(t, c)
	wantEOF(t, c)
}

// A finish that is no clean end is not seen as one.
func TestTapFinishWithBytesUnderWay(t *testing.T) {
	for under, how := range map[int64]string{0: "fin", 5: "cut"} {
		var c conn
		x := &Tap{c: &c, more: make(chan struct{}, 1)}
		c.rare = &rare{taps: []*Tap{x}}
		c.bits.Store(finishing | tapped)
		c.down.mark(&c, pumpStopped)
		c.up.moved.In.Store(under + 10)
		c.up.moved.Out.Store(10)
		c.up.stopped(&c, inSource, net.ErrClosed)
		x.wantEnd(t, Client, how)
	}
}
