package lifetime_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"relayd/lifetime"
)

// The drop-order matrix: what becomes of a resource, its children and the
// operations inside, for each sequence of events and each policy. These tables
// are the specification of the package. They hold the rows that need no socket;
// rows about races and about the garbage collector are in race_test.go and
// leak_test.go, the others belong to package socket.
//
// A row's column for shutdown is not written down: after every prefix of every
// row, under every policy, a shutdown of the parent must do the same.

// A row is a sequence of events and what comes of each.
type row struct {
	number int
	letter string // tells variants apart
	title  string
	steps  []step
}

// A step is an event and what comes of it under each policy, in the words of
// scene.play: the event's own result, or "waits"; then what else it caused.
// A policy without a word has no such cell.
type step struct {
	event                                string
	trap, refcount, closeChildren, block string
}

// each is a step that is the same under all policies.
func each(event, result string) step {
	return step{event, result, result, result, result}
}

func (s step) want(p lifetime.Policy) string {
	switch p {
	case lifetime.Trap:
		return s.trap
	case lifetime.Refcount:
		return s.refcount
	case lifetime.CloseChildren:
		return s.closeChildren
	}
	return s.block
}

func (r row) name() string { return fmt.Sprintf("row%02d%s", r.number, r.letter) }

// has reports whether the row has a cell for a policy.
func (r row) has(p lifetime.Policy) bool { return r.steps[0].want(p) != "" }

func TestMatrix(t *testing.T) {
	for _, rows := range [][]row{orderRows, permutations(), acquireRows, useRows, flightRows, shutdownRows, lostRows} {
		for _, r := range rows {
			t.Run(r.name(), func(t *testing.T) { testRow(t, r) })
		}
	}
}

func testRow(t *testing.T, r row) {
	for _, p := range allPolicies {
		if !r.has(p) {
			continue
		}
		t.Run(p.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { playCell(t, r, p) })
		})
	}
	t.Run("shutdown", func(t *testing.T) {
		for _, p := range allPolicies {
			if !r.has(p) {
				continue
			}
			for n := range len(r.steps) + 1 {
				synctest.Test(t, func(t *testing.T) { playThenShutdown(t, r, p, n) })
			}
		}
	})
}

// playSteps plays the first n steps of a row.
func playSteps(t *testing.T, r row, p lifetime.Policy, n int) *scene {
	sc := newScene(t, p)
	for i, s := range r.steps[:n] {
		got := sc.play(s.event)
		if want := canonical(s.want(p)); got != want {
			t.Errorf("%s (%s), %v, step %d, %s:\ngot  %s\nwant %s", r.name(), r.title, p, i+1, s.event, got, want)
		}
	}
	return sc
}

// playCell plays a row to its end, which must leave nothing behind.
func playCell(t *testing.T, r row, p lifetime.Policy) {
	sc := playSteps(t, r, p, len(r.steps))
	for _, c := range sc.pending {
		t.Errorf("%s is still pending at the end", c.event)
	}
	for _, part := range sc.parts() {
		if part.born() {
			part.gone()
			checkErr(t, part)
		}
	}
	nothingLeft(t)
	if t.Failed() {
		sc.abandon()
	}
}

// abandon lets everything go that a failed test would leave behind.
func (sc *scene) abandon() {
	sc.sock.p.BeginShutdown(errFirst)
	for _, p := range sc.parts() {
		close(p.more)
	}
	<-sc.sock.p.Done()
}

// playThenShutdown plays the first n steps of a row and shuts the parent down.
// Whatever went before, everything ends, once, and says why.
func playThenShutdown(t *testing.T, r row, p lifetime.Policy, n int) {
	where := fmt.Sprintf("%s, %v, shutdown after step %d", r.name(), p, n)
	sc := playSteps(t, r, p, n)
	before := sc.handles()
	pending := slices.Clone(sc.pending)
	was := sc.sock.p.State()

	if got := sc.play("shutdown P"); strings.HasPrefix(got, "waits") {
		// The shutdown waits for operations that hear no interrupt.
		spins := slices.ContainsFunc(pending, func(c *call) bool { return c.verb == "spin" })
		if !spins || sc.sock.p.State() == lifetime.Released {
			t.Errorf("%s: %s", where, got)
		}
		for _, part := range sc.parts() {
			sc.play("data " + sc.letter(part))
		}
	}
	for _, c := range sc.pending {
		t.Errorf("%s: %s is still pending", where, c.event)
	}
	for _, c := range pending {
		if want := c.wantShutdown(before); !strings.HasPrefix(c.result, want) {
			t.Errorf("%s: %s ended with %s, want %s", where, c.event, c.result, want)
		}
	}
	for _, h := range before {
		h.check(t, where)
	}
	sc.checkAcquire(where, before)
	sc.checkReport(where, was)
	nothingLeft(t)
}

// wantShutdown is how the result of a call begins that a shutdown ended. A drop
// that went through waits for the release only, and is not told.
func (c *call) wantShutdown(before []handle) string {
	switch c.verb {
	case "spin":
		return "ok"
	case "finish", "shutdown":
		return "report"
	case "drop":
		i := slices.IndexFunc(before, func(h handle) bool { return h.part == c.part })
		if h := before[i]; h.use == "shutdown" {
			return "shutdown"
		}
		if c.result != "ok" {
			return "left"
		}
		return "ok"
	}
	return "shutdown"
}

// A handle is what a part's owner had before the shutdown, and must be told
// after it.
type handle struct {
	*part
	use, drop string
}

// handles asks what each handle in the tree is good for.
func (sc *scene) handles() []handle {
	var list []handle
	for _, p := range sc.parts() {
		if !p.born() {
			continue
		}
		h := handle{part: p, use: "shutdown", drop: "ok"}
		switch {
		case sc.policy == lifetime.Trap && p.End() == lifetime.Dropped && p.State() == lifetime.Draining:
			h.use, h.drop = "trap", "trap" // asking would already poison it
		default:
			if was := outcome(sc.t, p.use()); was != "ok" && was != "dropping" {
				h.use = was // for ever
			}
			if h.use == "dropped" || h.use == "trap" {
				h.drop = h.use // only drops that happened before count
			}
		}
		list = append(list, h)
	}
	return list
}

// check asks again after the shutdown.
func (h handle) check(t *testing.T, where string) {
	h.gone()
	want(t, where+": use of "+h.Name(), h.part.use(), h.use)
	left, err := h.Drop(context.Background())
	if got := dropOutcome(t, left, err); got != h.drop {
		t.Errorf("%s: drop of %s: %s, want %s", where, h.Name(), got, h.drop)
	}
	_, err = h.BeginDrop()
	want(t, where+": second drop of "+h.Name(), err, h.drop)
	checkErr(t, h.part)
	if h.drop == "ok" && !errors.Is(h.part.use(), net.ErrClosed) {
		t.Errorf("%s: %s is of use", where, h.Name())
	}
}

// checkAcquire asks P and R, if it is in the tree, for a child: they answer what
// they answer to everything else.
func (sc *scene) checkAcquire(where string, handles []handle) {
	spare := new(part)
	spare.prepare(sc.t, &sc.sock.p)
	for _, h := range handles {
		var err error
		switch h.part {
		case &sc.sock.p:
			err = spare.join(readKind, sc.policy)
		case &sc.sock.r:
			err = spare.joinBeside(h.part, readKind, sc.policy)
		default:
			continue
		}
		want(sc.t, where+": a child from "+h.Name(), err, h.use)
	}
}

// checkReport asks for the report again, which must be the same, and have the
// first cause unless there was nothing left to shut down.
func (sc *scene) checkReport(where string, was lifetime.State) {
	p := &sc.sock.p
	r, err := p.Shutdown(context.Background(), errSecond)
	if err != nil {
		sc.t.Errorf("%s: a second shutdown: %v", where, err)
	}
	if first := sc.reports[p]; !reflect.DeepEqual(first, r) {
		sc.t.Errorf("%s: two final reports:\n%+v\n%+v", where, first, r)
	}
	if was == lifetime.Released {
		if r.End != lifetime.ShutDown && r.End != lifetime.Finished && (r.Cause != nil || r.Took != 0) {
			sc.t.Errorf("%s: the report of a resource that was released before is %+v", where, r)
		}
		return
	}
	if r.Cause != errFirst {
		sc.t.Errorf("%s: the report has the cause %v", where, r.Cause)
	}
}
