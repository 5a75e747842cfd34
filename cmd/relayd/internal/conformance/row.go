package conformance

import (
	"fmt"
	"slices"

	"relayd/lifetime"
)

// A column of the matrix: a policy, or a shutdown where the row ends.
type column uint8

const (
	refcount column = iota
	trap
	closeChildren
	block
	shutdown
	columns
)

var columnNames = [columns]string{"refcount", "trap", "close-children", "block", "shutdown"}

func (c column) String() string { return columnNames[c] }

// policy returns the policy of a column that is one.
func (c column) policy() lifetime.Policy {
	return [...]lifetime.Policy{lifetime.Refcount, lifetime.Trap, lifetime.CloseChildren, lifetime.Block}[c]
}

// policies are the columns that are one.
var policies = []column{refcount, trap, closeChildren, block}

// A kind is what a row runs over.
type kind uint8

const (
	library kind = iota
	tcp4
	tcp6
	tlsKind
	unix
	kinds
)

var kindNames = [kinds]string{"library", "tcp4", "tcp6", "tls", "unix"}

func (k kind) String() string { return kindNames[k] }

// tcp reports whether the kind has resets on the wire.
func (k kind) tcp() bool { return k == tcp4 || k == tcp6 || k == tlsKind }

// A row is a sequence of events, and what must come of it in each column.
type row struct {
	number int
	group  byte
	title  string
	// says is what must come of it, in words, by column.
	says [columns]string
	// scripts are played by every policy that has words for their steps, and
	// by the shutdown column, which shuts down after each step. A row has
	// several when it stands for several orders.
	scripts []script
	// run is the row in code, where it is no script.
	run func(*cell) error
	// forced is the shutdown column in code.
	forced func(*cell) error
	// skip says why a cell does not apply, or returns "".
	skip func(column, kind) string
	// slow rows wait for a time to pass, and start first.
	slow bool
}

// A script is a sequence of steps.
type script []step

// A step is an event and what comes of it under each policy: the event's own
// result, or "waits"; then the earlier events that it ended, as "read R=data";
// then who stopped holding, as "done P R". A result of "ok..." is ok at once or
// by the time that the peer has finished. A policy without a word skips the
// step.
type step struct {
	event event
	want  [shutdown]string
}

// each is a step that is the same under all policies.
func each(e event, want string) step { return step{e, [shutdown]string{want, want, want, want}} }

// by is a step whose outcome depends on the policy.
func by(e event, refcount, trap, closeChildren, block string) step {
	return step{e, [shutdown]string{refcount, trap, closeChildren, block}}
}

// has reports whether a script has words for a policy.
func (s script) has(c column) bool {
	return slices.ContainsFunc(s, func(st step) bool { return st.want[c] != "" })
}

// same is what a row says whose policies agree.
func same(all, shutdown string) [columns]string {
	return [columns]string{all, all, all, all, shutdown}
}

// groups are the matrix's sections.
var groups = map[byte]string{
	'A': "The order of drops",
	'B': "Taking children",
	'C': "Use after a drop",
	'D': "Drops while something is in flight",
	'E': "Shutdown itself",
	'F': "What goes wrong outside",
}

// matrix is the whole of it, in order.
func matrix() []row {
	return slices.Concat(orderRows, acquireRows, useRows, flightRows, shutdownRows, outsideRows)
}

// notApplicable says why a cell does not run, or returns "".
func (r *row) notApplicable(c column, k kind) string {
	if r.skip != nil {
		if why := r.skip(c, k); why != "" {
			return why
		}
	}
	if c == shutdown {
		if r.forced == nil && len(r.scripts) == 0 {
			return "the row is a shutdown already"
		}
		return ""
	}
	if r.run == nil && !slices.ContainsFunc(r.scripts, func(s script) bool { return s.has(c) }) {
		return fmt.Sprintf("the sequence cannot happen under %v", c)
	}
	return ""
}
