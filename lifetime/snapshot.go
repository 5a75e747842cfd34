package lifetime

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// An Info describes one resource at the moment of a snapshot.
type Info struct {
	ID     uint64
	Parent uint64 // 0 for a root
	Kind   string
	Name   string
	State  State
	End    End
	Policy Policy
	Age    time.Duration // to 100ms
	// Owned tells whether the owner has not dropped it yet. A live resource
	// that is not owned is an orphan: only children hold it.
	Owned      bool
	Children   int    // those that hold it
	Operations int    // entered, and not left
	Stack      string // where it was made, at leak level report or strict
}

// String describes the resource in a line, without its stack.
func (i Info) String() string {
	owned := "owned"
	if !i.Owned {
		owned = "orphan"
	}
	return fmt.Sprintf("%s: %s, %s, %d children, %d operations, age %v", i.Name, i.State, owned, i.Children, i.Operations, i.Age)
}

// Snapshot lists n and every resource below it that is not released yet, each
// parent before its children and the oldest first; with a nil n, every resource
// of the process. It stops nobody: each resource is described as it is when the
// walk comes by.
func Snapshot(n *Node) []Info {
	if n != nil {
		return n.snapshot(nil, n.Name())
	}
	var list []Info
	for _, c := range process.kids() {
		list = c.snapshot(list, c.nameBelow(""))
	}
	return list
}

// snapshot appends n and all below it to list.
func (n *Node) snapshot(list []Info, name string) []Info {
	info, ok := n.info(name)
	if !ok {
		return list
	}
	list = append(list, info)
	for _, c := range n.kids() {
		list = c.snapshot(list, c.nameBelow(name))
	}
	return list
}

// info describes n. It reports false when there is nothing to describe.
func (n *Node) info(name string) (Info, bool) {
	n.lock()
	w, m := n.load(), n.meta.load()
	var stack []uintptr
	if a := n.attendant(); a != nil {
		stack = a.stack
	}
	n.unlock()
	s := w.state()
	if s == unborn || s == beingBorn || s == Released {
		return Info{}, false
	}
	info := Info{
		ID:         m.id(),
		Kind:       m.kind().name,
		Name:       name,
		State:      s,
		End:        m.end(),
		Policy:     m.policy(),
		Age:        age(m.id()),
		Owned:      m.fate() == Open,
		Children:   w.children(),
		Operations: w.ops(),
		Stack:      formatStack(stack),
	}
	if n.parent != &process {
		info.Parent = n.parent.ID()
	}
	return info, true
}

// kids returns n's children, the oldest first.
func (n *Node) kids() []*Node {
	n.lock()
	if n.first == nil {
		n.unlock()
		return nil
	}
	list := n.children(make([]*Node, 0, 4))
	n.unlock()
	if len(list) > 1 {
		slices.SortFunc(list, byID)
	}
	return list
}

// byID orders nodes by age.
func byID(a, b *Node) int { return cmp.Compare(a.ID(), b.ID()) }

// Find returns the resource with this id at or below n, or anywhere in the
// process if n is nil; nil if there is none that is not released. It is how a
// resource is reached whose owner is gone.
func (n *Node) Find(id uint64) *Node {
	if n == nil {
		n = &process
	}
	if n.ID() == id && n != &process && n.State() != Released {
		return n
	}
	for _, c := range n.kids() {
		if found := c.Find(id); found != nil {
			return found
		}
	}
	return nil
}

// Name returns the resource's name: its kind below its parent's name, as in
// "c7f3a1.client.read". A numbered kind goes by its id; another root by kind
// and id.
func (n *Node) Name() string {
	if n.parent == nil {
		return "unborn"
	}
	if n.parent == &process || n.meta.load().kind().numbered {
		return n.nameBelow("")
	}
	return n.nameBelow(n.parent.Name())
}

// nameBelow returns n's name, given its parent's, or "" for a root's.
func (n *Node) nameBelow(parent string) string {
	m := n.meta.load()
	k := m.kind()
	switch {
	case k.numbered:
		return formatID(m.id())
	case parent == "":
		return k.name + "-" + formatID(m.id())
	}
	return parent + "." + k.name
}

// holders returns the names of the children that hold n.
func (n *Node) holders() []string {
	var names []string
	for _, c := range n.kids() {
		if c.load().held() {
			names = append(names, c.Name())
		}
	}
	return names
}

// holdersOf is holders for a parent that counted some of these children among
// its holders a moment ago: if none holds it by now, it names them all.
func holdersOf(children []*Node) []string {
	slices.SortFunc(children, byID)
	var holding, all []string
	for _, c := range children {
		all = append(all, c.Name())
		if c.load().held() {
			holding = append(holding, c.Name())
		}
	}
	if holding == nil {
		return all
	}
	return holding
}

// below describes what is held below n.
func (n *Node) below() []Info {
	if n.parent == nil {
		panic("lifetime: shutdown of a resource before its Init")
	}
	list := Snapshot(n)
	if len(list) > 0 {
		list = list[1:]
	}
	return slices.DeleteFunc(list, func(i Info) bool { return i.State == Draining })
}

// busy returns the names of what n waits for: its holders, or else whatever at
// or below n has an operation inside, or nothing below that it could wait for.
func (n *Node) busy() []string {
	if names := n.holders(); len(names) > 0 {
		return names
	}
	var names []string
	list := Snapshot(n)
	for k, i := range list {
		last := k+1 == len(list) || list[k+1].Parent != i.ID
		if i.Operations > 0 || last {
			names = append(names, i.Name)
		}
	}
	return names
}

// formatStack returns pcs as a goroutine's stack is usually printed.
func formatStack(pcs []uintptr) string {
	if len(pcs) == 0 {
		return ""
	}
	var b strings.Builder
	for frames := runtime.CallersFrames(pcs); ; {
		f, more := frames.Next()
		fmt.Fprintf(&b, "%s\n\t%s:%d\n", f.Function, f.File, f.Line)
		if !more {
			return b.String()
		}
	}
}
