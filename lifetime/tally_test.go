package lifetime_test

import (
	"context"
	"maps"
	"sync"
	"testing"

	"relayd/lifetime"
)

// tallied is what Tally would say if it counted a Snapshot.
func tallied(list []lifetime.Info) map[lifetime.Class]int {
	want := make(map[lifetime.Class]int)
	for _, i := range list {
		want[lifetime.Class{Kind: i.Kind, State: i.State, Owned: i.Owned}]++
	}
	return want
}

func TestTallyCountsWhatSnapshotLists(t *testing.T) {
	tr := newTree(t)
	other := newTree(t)
	// One socket's owner goes: it is an orphan that its halves hold.
	if _, err := tr.socks[0].p.Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, root := range map[string]*lifetime.Node{"one tree": &tr.conn.Node, "the process": nil} {
		got, want := lifetime.Tally(root), tallied(lifetime.Snapshot(root))
		if len(want) == 0 || !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	orphan := lifetime.Class{Kind: "client", State: lifetime.Live, Owned: false}
	if n := lifetime.Tally(&tr.conn.Node)[orphan]; n != 1 {
		t.Errorf("%d orphans, want 1: %v", n, lifetime.Tally(&tr.conn.Node))
	}
	for _, tr := range []*tree{tr, other} {
		tr.conn.Shutdown(t.Context(), errFirst)
		if got := lifetime.Tally(&tr.conn.Node); len(got) != 0 {
			t.Errorf("after the release: %v", got)
		}
	}
	nothingLeft(t)
}

func TestTallyOfNothing(t *testing.T) {
	if got := lifetime.Tally(nil); len(got) != 0 {
		t.Errorf("%v in an empty process", got)
	}
	if got := lifetime.Tally(&new(part).Node); len(got) != 0 {
		t.Errorf("%v before the Init", got)
	}
}

func TestWalkVisitsParentsFirst(t *testing.T) {
	tr := newTree(t)
	seen := make(map[uint64]bool)
	lifetime.Walk(nil, func(n *lifetime.Node) bool {
		for _, i := range lifetime.Snapshot(n) {
			if seen[i.ID] {
				t.Errorf("%s came before what is above it", i.Name)
			}
		}
		seen[n.ID()] = true
		return true
	})
	if len(seen) != 7 {
		t.Errorf("%d resources of 7", len(seen))
	}
	// Nothing below what the visitor does not want to see.
	count := 0
	lifetime.Walk(&tr.conn.Node, func(n *lifetime.Node) bool {
		count++
		return n == &tr.conn.Node
	})
	if count != 3 {
		t.Errorf("%d resources at two levels, want 3", count)
	}
	tr.conn.Shutdown(t.Context(), errFirst)
	nothingLeft(t)
}

// Counting stops nobody, and is stopped by nobody.
func TestTallyUnderChurn(t *testing.T) {
	root := new(part)
	root.prepare(t, nil)
	if err := root.join(connKind, lifetime.Refcount); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var counting sync.WaitGroup
	counting.Go(func() { tallyUntil(stop) })
	for range 2000 {
		var kids [8]part
		for i := range kids {
			kids[i].prepare(t, root)
			if err := kids[i].join(readKind, lifetime.Refcount); err != nil {
				t.Error(err)
			}
		}
		for i := range kids {
			kids[i].BeginDrop()
		}
	}
	close(stop)
	counting.Wait()
	want := map[lifetime.Class]int{{Kind: "conn", State: lifetime.Live, Owned: true}: 1}
	if got := lifetime.Tally(nil); !maps.Equal(got, want) {
		t.Errorf("after it all %v, want %v", got, want)
	}
	root.Drop(context.Background())
	nothingLeft(t)
}

func tallyUntil(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
			lifetime.Tally(nil)
		}
	}
}

func BenchmarkTally(b *testing.B) {
	list := make([]*tree, 5000)
	for i := range list {
		list[i] = newTree(b)
	}
	for b.Loop() {
		lifetime.Tally(nil)
	}
	b.StopTimer()
	for _, tr := range list {
		tr.conn.Shutdown(context.Background(), errFirst)
	}
}

func BenchmarkSnapshotOfTheProcess(b *testing.B) {
	list := make([]*tree, 5000)
	for i := range list {
		list[i] = newTree(b)
	}
	for b.Loop() {
		lifetime.Snapshot(nil)
	}
	b.StopTimer()
	for _, tr := range list {
		tr.conn.Shutdown(context.Background(), errFirst)
	}
}
