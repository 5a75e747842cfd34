package relay

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"testing"
	"time"

	"relayd/tests/leak"
	"relayd/transform"
)

// Conns whose upstream is of memory change as well, while nothing arrives.
func TestChainsOfMemory(t *testing.T) {
	leak.Check(t)
	s, _ := start(t, Config{To: address(t, "echo:")})
	c := dial(t, s.Addrs()[0])
	send(t, c, "abc")
	wantText(t, c, "abc")
	id := onlyConn(t, s)
	setChains(t, s, id, transform.Chain{twice}, transform.Chain{through})
	send(t, c, "x")
	wantText(t, c, "xx")
	setChains(t, s, id, nil, transform.Chain{twice})
	send(t, c, "y")
	wantText(t, c, "yy")
	setChains(t, s, id, nil, nil)
	send(t, c, "z")
	wantText(t, c, "z")
	c.CloseWrite()
	wantEOF(t, c)
}

// An edit of the route is for the conns that come, and one of a conn for that
// conn.
func TestEditChains(t *testing.T) {
	leak.Check(t)
	u := listen(t)
	s, _ := start(t, Config{To: u.addr, Up: transform.Chain{through}})
	old := dial(t, s.Addrs()[0])
	up := u.accept(t)
	send(t, old, "a")
	wantText(t, up, "a")
	id := onlyConn(t, s)
	add := func(up, down transform.Chain) (transform.Chain, transform.Chain, error) {
		up, err := up.Insert(transform.Last, twice)
		return up, down, err
	}
	if up, down, err := s.EditChains(DefaultName, add); err != nil || up.String() != "through,twice" || len(down) != 0 {
		t.Errorf("the route has %q and %q, %v", up, down, err)
	}
	if up, _, _ := s.Chains(DefaultName); up.String() != "through,twice" {
		t.Errorf("the route has %q", up)
	}
	send(t, old, "b")
	wantText(t, up, "b")
	young := dial(t, s.Addrs()[0])
	yup := u.accept(t)
	send(t, young, "c")
	wantText(t, yup, "cc")
	if newUp, _, err := s.EditConn(t.Context(), id, add); err != nil || newUp.String() != "through,twice" {
		t.Errorf("the conn has %q, %v", newUp, err)
	}
	send(t, old, "d")
	wantText(t, up, "dd")
	if _, _, err := s.EditChains(DefaultName, func(up, down transform.Chain) (transform.Chain, transform.Chain, error) {
		return nil, nil, io.ErrNoProgress
	}); err != io.ErrNoProgress {
		t.Error(err)
	}
	if up, _, _ := s.Chains(DefaultName); up.String() != "through,twice" {
		t.Errorf("after an edit that has failed the route has %q", up)
	}
	for _, d := range []*net.TCPConn{old, young} {
		finish(t, d)
	}
	for _, d := range []*net.TCPConn{up, yup} {
		wantEOF(t, d)
	}
}

// What goes through the stages of a conn is shown while it lives, and summed up
// afterwards.
func TestFlowsOfConns(t *testing.T) {
	leak.Check(t)
	u := listen(t)
	s, _ := start(t, Config{To: u.addr, Up: transform.Chain{twice, through}})
	c := dial(t, s.Addrs()[0])
	up := u.accept(t)
	send(t, c, "abc")
	wantText(t, up, "aabbcc")
	flows := s.Conns()[0].Up.Flows
	if len(flows) != 2 || flows[0].Stage != "twice" || flows[0].In != 3 || flows[0].Out != 6 || flows[1].In != 6 || flows[1].Out != 6 ||
		flows[1].Last.IsZero() || len(s.Conns()[0].Down.Flows) != 0 {
		t.Errorf("through the stages went %+v", flows)
	}
	wantStages(t, s, map[StageOf]StageBytes{{"up", "twice"}: {In: 3, Out: 6}, {"up", "through"}: {In: 6, Out: 6}})
	last := s.Stats().Stages[StageOf{"up", "twice"}].Last
	if !last.Equal(flows[0].Last) {
		t.Errorf("the last bytes of all came at %v, those of the only conn at %v", last, flows[0].Last)
	}
	setChains(t, s, onlyConn(t, s), transform.Chain{twice}, nil)
	send(t, c, "d")
	wantText(t, up, "dd")
	finish(t, c)
	wantEOF(t, up)
	eventually(t, "the direction is over", func() bool { return s.Conns()[0].Up.State == Over })
	if f := s.Conns()[0].Up.Flows; len(f) != 1 || f[0].In != 1 || f[0].Out != 2 {
		t.Errorf("after the end of the direction: %+v", f)
	}
	finish(t, up)
	wantEOF(t, c)
	eventually(t, "the conn is gone", func() bool { return s.Live() == 0 })
	wantStages(t, s, map[StageOf]StageBytes{{"up", "twice"}: {In: 4, Out: 8}, {"up", "through"}: {In: 6, Out: 6}})
	if again := s.Stats().Stages[StageOf{"up", "twice"}].Last; !again.After(last) {
		t.Errorf("the last bytes of all came at %v, and the ones before at %v", again, last)
	}
}

// wantStages wants bytes to have gone through all stages, and each to know when.
func wantStages(t *testing.T, s *Server, want map[StageOf]StageBytes) {
	t.Helper()
	sums := s.Stats().Stages
	same := func(a, b StageBytes) bool { return a.In == b.In && a.Out == b.Out && !a.Last.IsZero() }
	if !maps.EqualFunc(sums, want, same) {
		t.Errorf("through all went %v, want %v", sums, want)
	}
}

// A direction that cannot let go of its stage, because its peer does not read,
// does not keep the other one: what frees it may have to come there.
func TestEditLeavesTheOtherDirection(t *testing.T) {
	leak.Check(t)
	u := listen(t)
	s, _ := start(t, Config{To: u.addr, Up: transform.Chain{through}})
	c := dial(t, s.Addrs()[0])
	up := u.accept(t)
	n, err := int64(0), error(nil)
	for before := int64(-1); n > before; { // until nothing more goes in
		before = n
		c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		var k int
		k, err = c.Write(make([]byte, 16<<20))
		n += int64(k)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	soon, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if err := s.SetChains(soon, onlyConn(t, s), nil, nil); !errors.Is(err, ErrBlocked) {
		t.Errorf("SetChains: %v", err)
	}
	send(t, up, "answer")
	wantText(t, c, "answer")
	finish(t, c)
	if got, err := io.Copy(io.Discard, up); got != n || err != nil {
		t.Errorf("the server got %d of %d bytes, %v", got, n, err)
	}
	finish(t, up)
	wantEOF(t, c)
}
