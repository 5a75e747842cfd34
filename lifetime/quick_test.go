package lifetime

import (
	"context"
	"errors"
	"sync"
	"testing"
	"unsafe"
)

type sock struct {
	Node
	r, w     half
	released int
}
type half struct {
	Node
	woken chan struct{}
}

var sockKind = NewKind(Hooks[sock]{Name: "socket", Release: func(s *sock) { s.released++ }})
var readKind = NewKind(Hooks[half]{Name: "read", Interrupt: func(h *half, err error) {
	if h.woken != nil {
		close(h.woken)
	}
}})
var writeKind = readKind.Named("write")

func TestQuick(t *testing.T) {
	if s := unsafe.Sizeof(Node{}); s != 48 {
		t.Fatal(s)
	}
	for _, p := range []Policy{Refcount, Trap, CloseChildren, Block} {
		s := &sock{}
		sockKind.Init(s, nil, p)
		readKind.Init(&s.r, &s.Node, p)
		writeKind.Init(&s.w, &s.Node, p)
		t.Log(Snapshot(nil))
		if p == Block {
			go func() { s.r.BeginDrop(); s.w.BeginDrop() }()
		}
		l, err := s.Drop(context.Background())
		t.Log(p, l.Children, l.Names(), err, s.State(), s.End())
		t.Log(s.r.BeginDrop())
		t.Log(s.w.BeginDrop())
		<-s.Done()
		if s.released != 1 {
			t.Fatal(s.released)
		}
		t.Log(s.r.End(), s.r.Err(), s.End(), s.Err())
		t.Log(s.r.Enter())
	}
	s := &sock{}
	sockKind.Init(s, nil, Refcount)
	s.r.woken = make(chan struct{})
	readKind.Init(&s.r, &s.Node, 0)
	s.r.Enter()
	go func() { <-s.r.woken; s.r.Leave() }()
	rep, err := s.Shutdown(context.Background(), errors.New("why"))
	t.Logf("%+v %v %v", rep, err, s.r.Err())
	if len(Snapshot(nil)) != 0 {
		t.Fatal()
	}
}

func TestRace30(t *testing.T) {
	for range 5000 {
		s := &sock{}
		sockKind.Init(s, nil, Refcount)
		readKind.Init(&s.r, &s.Node, 0)
		var wg sync.WaitGroup
		wg.Go(func() { s.BeginDrop() })
		wg.Go(func() { s.r.Drop(context.Background()) })
		wg.Go(func() { s.Shutdown(context.Background(), nil) })
		wg.Go(func() { s.Finish(context.Background(), nil) })
		wg.Go(func() {
			if writeKind.Init(&s.w, &s.Node, 0) == nil {
				s.w.BeginDrop()
			}
		})
		wg.Wait()
		<-s.Done()
		if s.released != 1 {
			t.Fatal(s.released)
		}
	}
	if len(Snapshot(nil)) != 0 {
		t.Fatal(Snapshot(nil))
	}
}

func BenchmarkEnter(b *testing.B) {
	s := &sock{}
	sockKind.Init(s, nil, Refcount)
	b.ReportAllocs()
	for b.Loop() {
		s.Enter()
		s.Leave()
	}
	s.BeginDrop()
}
func BenchmarkTree(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		s := &sock{}
		sockKind.Init(s, nil, Refcount)
		readKind.Init(&s.r, &s.Node, 0)
		writeKind.Init(&s.w, &s.Node, 0)
		s.BeginDrop()
		s.r.BeginDrop()
		s.w.BeginDrop()
	}
}
func BenchmarkRW(b *testing.B) {
	var mu sync.RWMutex
	for b.Loop() {
		mu.RLock()
		mu.RUnlock()
	}
}
