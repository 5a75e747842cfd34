// Package lifetime decides how long a resource lives: a socket, a half of a
// socket, a stage with a process behind it, anything that the host must free
// once nobody can use it.
//
// Resources form a tree. A child keeps its parent alive; whoever made a
// resource owns it and may drop it, once, in any order. The holders of a
// resource are its owner and its children. When the last holder is gone the
// resource is done; it then finishes what it owes (drains), in its own time,
// and is released: its host state is freed, exactly once, after the last
// operation inside has left.
//
//	         ┌─ Dropping (a Block drop waits; back to Live when its context ends)
//	         ▼
//	Live ──last holder gone──► Draining ──nothing owed──► Released
//	  ├─────── shutdown ───────────┴──► Closing ─────────────┘
//	  └─────── trap ──► Trapped ─────────►┘
//
// A policy says what dropping a parent does while children live: [Refcount]
// leaves everything alive that the children need, [Trap] fails and poisons the
// resource, [CloseChildren] ends the children, [Block] waits for them. Under
// every policy [Node.Shutdown] ends a resource and all below it, at once and
// from any state, and returns when all of it is released.
//
// A [Node] is a resource's place in the tree. Embed it as the first field of
// the resource's own struct, and describe the sort of resource by a [Kind]:
//
//	type file struct {
//		lifetime.Node
//		f *os.File
//	}
//
//	var fileKind = lifetime.NewKind(lifetime.Hooks[file]{
//		Name:    "file",
//		Release: func(f *file) { f.f.Close() },
//	})
//
//	err := fileKind.Init(f, parent, lifetime.Refcount)
//
// An operation brackets itself with Enter and Leave: two atomic operations, no
// lock, no allocation. Begin forms never wait and run hooks on the caller's
// goroutine; the forms with a context wait. Errors that mean "closed on our
// side" satisfy errors.Is(err, [net.ErrClosed]). The package logs nothing:
// [Snapshot] lists every live resource by name, [Watch] finds lost owners.
package lifetime
