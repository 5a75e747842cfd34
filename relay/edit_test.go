package relay

import (
	"io"
	"maps"
	"net"
	"testing"

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
	if up, down, err := s.EditChains(add); err != nil || up.String() != "through,twice" || len(down) != 0 {
		t.Errorf("the route has %q and %q, %v", up, down, err)
	}
	if up, _ := s.Chains(); up.String() != "through,twice" {
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
	if _, _, err := s.EditChains(func(up, down transform.Chain) (transform.Chain, transform.Chain, error) {
		return nil, nil, io.ErrNoProgress
	}); err != io.ErrNoProgress {
		t.Error(err)
	}
	if up, _ := s.Chains(); up.String() != "through,twice" {
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
	want := map[StageOf]StageBytes{{"up", "twice"}: {3, 6}, {"up", "through"}: {6, 6}}
	if sums := s.Stats().Stages; !maps.Equal(sums, want) {
		t.Errorf("through all went %v", sums)
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
	want = map[StageOf]StageBytes{{"up", "twice"}: {4, 8}, {"up", "through"}: {6, 6}}
	if sums := s.Stats().Stages; !maps.Equal(sums, want) {
		t.Errorf("through all went %v, want %v", sums, want)
	}
}
