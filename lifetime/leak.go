package lifetime

import (
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// A LeakLevel says how lost owners are looked for.
type LeakLevel uint8

// The levels.
const (
	// LeakOff: [Watch] does nothing, and no stacks are kept.
	LeakOff LeakLevel = iota
	// LeakReport: a resource whose owner is collected without a drop is
	// reported, and then dropped. Every new resource keeps its creating stack.
	LeakReport
	// LeakStrict, for tests: as LeakReport, but instead of being dropped the
	// resource ends the process, with a list of all live ones.
	LeakStrict
)

// leakState is the level, and whom to tell.
type leakState struct {
	level  atomic.Uint32
	report atomic.Pointer[func(Info)]
}

var leaks leakState

func (l *leakState) on() bool { return LeakLevel(l.level.Load()) != LeakOff }

func (l *leakState) tell(i Info) {
	if f := l.report.Load(); f != nil && *f != nil {
		(*f)(i)
	}
}

// SetLeakLevel sets the process's level for resources made from now on. report
// is called for each resource that was lost, and, at every level, for each that
// is still held when the grace after its drop ends (see [Node.SetGrace]); its
// Info says which: a lost one has the End [Lost]. It is called on a goroutine
// of its own, must not wait, and may be nil.
func SetLeakLevel(level LeakLevel, report func(Info)) {
	leaks.report.Store(&report)
	leaks.level.Store(uint32(level))
}

// Watch finds the loss of a handle: an object through which alone a user
// reaches n, given to somebody who may forget to drop it. When the garbage
// collector finds handle unreachable and n was not dropped, n is reported and
// dropped. n itself must not lead to handle. At LeakOff Watch does nothing.
// Methods of T that use n end with runtime.KeepAlive of the handle.
func Watch[T any](handle *T, n *Node) {
	if leaks.on() {
		runtime.AddCleanup(handle, (*Node).lost, n)
	}
}

// lost is called when the handle of n was collected.
func (n *Node) lost() {
	if n.meta.load().fate() != Open {
		return
	}
	info, ok := n.info(n.Name())
	if !ok {
		return
	}
	info.End = Lost
	leaks.tell(info)
	if LeakLevel(leaks.level.Load()) == LeakStrict {
		panic("lifetime: lost without a drop: " + info.Name + "\n" + info.Stack + "\n" + dump())
	}
	n.add(oneOwed) // as in drop, n stays until the interrupt is over
	n.disown(Lost)
	n.interrupt(ErrDropped)
	n.retire()
	n.changed(n.sub(oneOwed))
}

// dump returns Snapshot(nil) as text, a line and a stack for each resource.
func dump() string {
	var b strings.Builder
	for _, i := range Snapshot(nil) {
		b.WriteString(i.String() + "\n" + i.Stack)
	}
	return b.String()
}

// SetGrace bounds how long children may hold the resource after its owner has
// dropped it under [Refcount]: then they are reported (see [SetLeakLevel]) and
// the resource is shut down. Zero and less is no bound, the default. It has no
// effect after the drop.
func (n *Node) SetGrace(d time.Duration) {
	n.mustBeBorn()
	n.lock()
	n.attend().grace = d
	n.unlock()
}

// startExpiry starts the grace. The lock is held.
func (n *Node) startExpiry() {
	if a := n.attendant(); a != nil && a.grace > 0 {
		a.expiry = time.AfterFunc(a.grace, n.expire)
	}
}

// expire ends the grace.
func (n *Node) expire() {
	info, ok := n.info(n.Name())
	if !ok || !n.load().held() {
		return
	}
	leaks.tell(info)
	n.BeginShutdown(errGrace)
}
