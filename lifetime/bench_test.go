package lifetime_test

import (
	"context"
	"sync"
	"testing"

	"relayd/lifetime"
)

// Sizes and allocations are promises, and tested. Times are not: run the
// benchmarks to see them, each beside what it replaces.

// A cheap resource has no hooks, so that nothing is measured but this package.
type cheap struct{ lifetime.Node }

// A cheapSock is shaped like a socket, in one allocation.
type cheapSock struct {
	cheap
	r, w cheap
}

var (
	cheapKind      = lifetime.NewKind(lifetime.Hooks[cheap]{Name: "cheap"})
	cheapReadKind  = cheapKind.Named("read")
	cheapWriteKind = cheapKind.Named("write")
)

// cheapTree makes a socket-shaped tree of three nodes and drops it.
func cheapTree(p, r, w *cheap) {
	cheapKind.Init(p, nil, lifetime.Refcount)
	cheapReadKind.Init(r, &p.Node, lifetime.Refcount)
	cheapWriteKind.Init(w, &p.Node, lifetime.Refcount)
	p.BeginDrop()
	r.BeginDrop()
	w.BeginDrop()
}

func embeddedTree() { s := new(cheapSock); cheapTree(&s.cheap, &s.r, &s.w) }
func separateTree() { cheapTree(new(cheap), new(cheap), new(cheap)) }

func TestAllocations(t *testing.T) {
	n := new(cheap)
	cheapKind.Init(n, nil, lifetime.Refcount)
	defer n.BeginDrop()
	for _, test := range []struct {
		name string
		max  float64
		f    func()
	}{
		{"Enter and Leave", 0, func() {
			if n.Enter() == nil {
				n.Leave()
			}
		}},
		{"a tree in one struct", 1, embeddedTree},
		{"a tree of three", 3, separateTree},
	} {
		if got := testing.AllocsPerRun(1000, test.f); got > test.max {
			t.Errorf("%s: %v allocations, want %v at most", test.name, got, test.max)
		}
	}
}

// What a drop of a parent costs must not depend on how many others there are.
// Allocations can be counted, so those are: n children cost n times what one
// costs, and the few that grow with n once.
func TestDropAllocatesLinearly(t *testing.T) {
	for _, p := range []lifetime.Policy{lifetime.CloseChildren, lifetime.Refcount} {
		perChild := func(children int) float64 {
			return testing.AllocsPerRun(1, func() { newFamily(children, p).drop() }) / float64(children)
		}
		few, many := perChild(100), perChild(10_000)
		if many > few+0.1 {
			t.Errorf("%v: %.2f allocations a child of 100, %.2f of 10,000", p, few, many)
		}
	}
}

// A family is a parent with children.
type family struct {
	parent   cheap
	children []cheap
}

func newFamily(children int, p lifetime.Policy) *family {
	f := &family{children: make([]cheap, children)}
	cheapKind.Init(&f.parent, nil, p)
	for i := range f.children {
		cheapReadKind.Init(&f.children[i], &f.parent.Node, p)
	}
	return f
}

// drop drops the parent, then each child, the oldest first: the order that is
// the worst for a list that is searched from its young end.
func (f *family) drop() {
	f.parent.BeginDrop()
	for i := range f.children {
		f.children[i].BeginDrop()
	}
}

// A rootScheme guards a resource as os.Root does: a mutex, a count, a flag.
type rootScheme struct {
	mu     sync.Mutex
	refs   int
	closed bool
}

func (r *rootScheme) incref() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return lifetime.ErrDropped
	}
	r.refs++
	return nil
}

func (r *rootScheme) decref() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refs--
}

// BenchmarkOperation measures Enter and Leave, by one goroutine and by many on
// one resource, against a read-write mutex and the scheme of os.Root.
func BenchmarkOperation(b *testing.B) {
	b.Run("node", func(b *testing.B) {
		n := new(cheap)
		cheapKind.Init(n, nil, lifetime.Refcount)
		defer n.BeginDrop()
		b.ReportAllocs()
		for b.Loop() {
			if n.Enter() == nil {
				n.Leave()
			}
		}
	})
	b.Run("rwmutex", func(b *testing.B) {
		var mu sync.RWMutex
		for b.Loop() {
			mu.RLock()
			//lint:ignore SA2001 the brackets are what is measured
			mu.RUnlock()
		}
	})
	b.Run("os.Root", func(b *testing.B) {
		var r rootScheme
		for b.Loop() {
			if r.incref() == nil {
				r.decref()
			}
		}
	})
	b.Run("node/contended", func(b *testing.B) {
		n := new(cheap)
		cheapKind.Init(n, nil, lifetime.Refcount)
		defer n.BeginDrop()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if n.Enter() == nil {
					n.Leave()
				}
			}
		})
	})
	b.Run("rwmutex/contended", func(b *testing.B) {
		var mu sync.RWMutex
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				mu.RLock()
				//lint:ignore SA2001 the brackets are what is measured
				mu.RUnlock()
			}
		})
	})
	b.Run("os.Root/contended", func(b *testing.B) {
		var r rootScheme
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if r.incref() == nil {
					r.decref()
				}
			}
		})
	})
}

// BenchmarkTree makes and drops a parent with two children.
func BenchmarkTree(b *testing.B) {
	for name, tree := range map[string]func(){"embedded": embeddedTree, "separate": separateTree} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tree()
			}
		})
	}
	b.Run("contended", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				embeddedTree()
			}
		})
	})
}

// BenchmarkDrop drops a parent with many children. It is linear: ns/child stays
// what it is.
func BenchmarkDrop(b *testing.B) {
	for _, p := range []lifetime.Policy{lifetime.CloseChildren, lifetime.Refcount} {
		for _, size := range []struct {
			name     string
			children int
		}{{"10", 10}, {"1000", 1000}, {"10000", 10_000}} {
			b.Run(p.String()+"/"+size.name, func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					f := newFamily(size.children, p)
					b.StartTimer()
					f.drop()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size.children), "ns/child")
			})
		}
	}
}

// BenchmarkShutdown does the same by Shutdown, report and all.
func BenchmarkShutdown(b *testing.B) {
	const children = 10_000
	for b.Loop() {
		b.StopTimer()
		f := newFamily(children, lifetime.Refcount)
		b.StartTimer()
		f.parent.Shutdown(context.Background(), nil)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*children), "ns/child")
}

// BenchmarkSnapshot lists 10,000 resources, as an operator's page does every
// second.
func BenchmarkSnapshot(b *testing.B) {
	const socks = 10_000 / 3
	list := make([]cheapSock, socks)
	for i := range list {
		s := &list[i]
		cheapKind.Init(&s.cheap, nil, lifetime.Refcount)
		cheapReadKind.Init(&s.r, &s.Node, lifetime.Refcount)
		cheapWriteKind.Init(&s.w, &s.Node, lifetime.Refcount)
	}
	b.ReportAllocs()
	for b.Loop() {
		if n := len(lifetime.Snapshot(nil)); n != 3*socks {
			b.Fatalf("%d resources", n)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*3*socks), "ns/resource")
	for i := range list {
		list[i].BeginShutdown(nil)
	}
}
