package lifetime

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// Hooks describe a sort of resource. T is its struct, whose first field is a
// [Node]. Every hook may be nil, is called without locks, and may call anything
// that does not wait.
type Hooks[T any] struct {
	// Name is the resource's part of its name, as in "c7f3a1.client.read".
	Name string
	// Numbered resources are named by their id alone, not below their parent.
	Numbered bool

	// Interrupt wakes the operations inside t, and those that have entered and
	// not begun to wait, so that they leave soon: the handle is dead. cause is
	// what they should return. It may be called again with another cause, from
	// several goroutines, and when nothing is inside after all. t is not
	// released before it has returned.
	Interrupt func(t *T, cause error)

	// Owed reports whether Drain has anything to do; nil means always. It is
	// called once, on the goroutine of whoever dropped last.
	Owed func(t *T) bool
	// Drain finishes what t owes to its peer, after the last holder is gone and
	// the last operation, in t or below, has left; what is owed below is drained
	// at the same time. It runs on a goroutine of the resource's own. ctx ends
	// at the deadline, or when a shutdown or a trap cuts the drain:
	// context.Cause says which. An error makes the resource's end [Failed].
	// (The order of the parameters lets a method expression be the hook.)
	Drain func(t *T, ctx context.Context) error
	// DrainTimeout bounds Drain. Zero means 2s, negative no bound.
	DrainTimeout time.Duration

	// Release frees the host state. It is called exactly once, after the last
	// operation has left, on the goroutine of whoever was last.
	Release func(t *T)
}

// DrainTimeout's default.
const defaultDrainTimeout = 2 * time.Second

// A Kind is a sort of resource, made once, at package level.
type Kind[T any] struct{ index uint8 }

// erased are Hooks without their type.
type erased struct {
	name         string
	numbered     bool
	interrupt    func(*Node, error)
	owed         func(*Node) bool
	drain        func(context.Context, *Node) error
	drainTimeout time.Duration
	release      func(*Node)
	base         uint8 // the kind that this one is a Named of, or its own
}

const maxKinds = 64

var (
	kinds     [maxKinds]atomic.Pointer[erased]
	kindsMu   sync.Mutex
	kindCount uint8
)

// NewKind returns a kind with these hooks. It panics if the first field of T is
// not a Node, or if the process has more than 63 kinds.
func NewKind[T any](h Hooks[T]) Kind[T] {
	t := reflect.TypeFor[T]()
	if t.Kind() != reflect.Struct || t.NumField() == 0 || t.Field(0).Type != reflect.TypeFor[Node]() {
		panic(fmt.Sprintf("lifetime: the first field of %v is not a lifetime.Node", t))
	}
	// So a *Node of this kind points to a T.
	outer := func(n *Node) *T { return (*T)(unsafe.Pointer(n)) }
	e := &erased{name: h.Name, numbered: h.Numbered, drainTimeout: h.DrainTimeout}
	if e.drainTimeout == 0 {
		e.drainTimeout = defaultDrainTimeout
	}
	if h.Interrupt != nil {
		e.interrupt = func(n *Node, cause error) { h.Interrupt(outer(n), cause) }
	}
	if h.Owed != nil {
		e.owed = func(n *Node) bool { return h.Owed(outer(n)) }
	}
	if h.Drain != nil {
		e.drain = func(ctx context.Context, n *Node) error { return h.Drain(outer(n), ctx) }
	}
	if h.Release != nil {
		e.release = func(n *Node) { h.Release(outer(n)) }
	}
	return Kind[T]{register(e)}
}

func register(e *erased) uint8 {
	kindsMu.Lock()
	defer kindsMu.Unlock()
	if kindCount == maxKinds-1 {
		panic("lifetime: too many kinds")
	}
	kindCount++ // the zero Kind has no hooks
	if e.base == 0 {
		e.base = kindCount
	}
	kinds[kindCount].Store(e)
	return kindCount
}

// Named returns a kind that differs from k in its name only: the place that
// the resource takes in its parent.
func (k Kind[T]) Named(name string) Kind[T] {
	e := *kinds[k.index].Load()
	e.name = name
	return Kind[T]{register(&e)}
}

// Of returns the T whose node n is, if n is of this kind or of one that was
// Named from it.
func (k Kind[T]) Of(n *Node) (t *T, ok bool) {
	if n == nil || n.State() == unborn || n.meta.load().kind().base != kinds[k.index].Load().base {
		return nil, false
	}
	return (*T)(unsafe.Pointer(n)), true
}

// Below returns the children of parent that are of this kind, or of one that was
// Named from it, and not released, the oldest first: those that are there when
// it looks. A T that is returned stays what it is, and may be released at any
// moment.
func (k Kind[T]) Below(parent *Node) []*T {
	list := k.AppendBelow(nil, parent)
	slices.SortFunc(list, func(a, b *T) int { return byID((*Node)(unsafe.Pointer(a)), (*Node)(unsafe.Pointer(b))) })
	return list
}

// AppendBelow appends what Below returns to list, in no order: who looks often
// need not allocate.
func (k Kind[T]) AppendBelow(list []*T, parent *Node) []*T {
	parent.lock()
	defer parent.unlock()
	c := parent.first
	if a := parent.attendant(); a != nil {
		c = a.next
	}
	for ; c != nil; c = c.next {
		if t, ok := k.Of(c); ok {
			list = append(list, t)
		}
	}
	return list
}

// Init puts t into the tree as a child of parent, or as a root if parent is
// nil. It fails with parent's error if parent's owner may not use it any more,
// and with [ErrTaken] if t was put into a tree before: a struct that embeds its
// children hands each out once.
func (k Kind[T]) Init(t *T, parent *Node, p Policy) error {
	if parent == nil {
		parent = &process
	}
	return (*Node)(unsafe.Pointer(t)).init(k.index, parent, p)
}

// InitBeside puts t into the tree as a sibling of a live one. Children never
// mint rights: once the parent's owner is gone it fails with
// [ErrParentDropped].
func (k Kind[T]) InitBeside(t *T, sibling *Node, p Policy) error {
	if err := sibling.Enter(); err != nil {
		return err
	}
	defer sibling.Leave()
	err := (*Node)(unsafe.Pointer(t)).init(k.index, sibling.parent, p)
	if err == ErrDropped {
		return ErrParentDropped
	}
	return err
}

// process holds every resource that has no other parent.
var process Node

func init() {
	kinds[0].Store(&erased{name: "process"})
	process.meta.store(meta(newID()))
	process.word.Store(uint64(word(Live) | owner))
}

// init is Init for any kind. The count and the list change under one lock, so
// that whoever closes the parent finds every child that was counted.
func (n *Node) init(kind uint8, parent *Node, p Policy) error {
	claim := n.swap(word(unborn), word(beingBorn))
	for {
		parent.lock()
		w := parent.load()
		switch {
		case !w.usable() || w.children() == countMask:
			parent.unlock()
			if err := parent.refuse("acquire"); err != nil {
				if claim {
					n.word.Store(uint64(unborn))
				}
				return err
			}
			continue
		case !claim:
			parent.unlock()
			return ErrTaken
		case !parent.swap(w, w+oneChild): // an Enter or Leave came between
			parent.unlock()
			continue
		}
		n.meta.store(meta(newID()) | meta(kind)<<kindShift | meta(p&3)<<policyShift)
		n.parent = parent
		if leaks.on() {
			n.recordStack()
		}
		parent.attach(n)
		n.word.Store(uint64(word(Live) | owner))
		parent.unlock()
		return nil
	}
}

// recordStack keeps where n is made. Nobody else can see n yet.
func (n *Node) recordStack() {
	var pcs [32]uintptr
	stack := pcs[:runtime.Callers(4, pcs[:])]
	n.attend().stack = append([]uintptr(nil), stack...)
}

// attach puts c into n's list of children. The lock is held.
func (n *Node) attach(c *Node) {
	at := &n.first
	c.prev = nil
	if a := n.attendant(); a != nil {
		at = &a.next
		c.prev = &a.Node
	}
	c.next = *at
	if c.next != nil {
		c.next.prev = c
	}
	*at = c
}

// detach takes c out of n's list of children. The lock is held.
func (n *Node) detach(c *Node) {
	if c.prev == nil {
		n.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.next, c.prev = nil, nil
}

// children appends those in n's list to buf. The lock is held.
func (n *Node) children(buf []*Node) []*Node {
	c := n.first
	if a := n.attendant(); a != nil {
		c = a.next
	}
	for ; c != nil; c = c.next {
		buf = append(buf, c)
	}
	return buf
}
