package lifetime

import (
	"fmt"
	"strings"
)

// A Policy says what dropping a parent does while it still has children. It is
// a flag.Value and a text (un)marshaler; its names are "refcount", "trap",
// "close-children" and "block".
type Policy uint8

// The four policies. The zero value is Refcount.
const (
	// Refcount: the drop succeeds at once, and the children keep everything
	// that they need alive.
	Refcount Policy = iota
	// Trap: the drop fails with a [*TrapError] that names the children, and
	// the resource and all below it are aborted.
	Trap
	// CloseChildren: the drop succeeds, and every child that is live ends
	// with [ErrClosedByParent]. Without children it is a Refcount drop.
	CloseChildren
	// Block: the drop waits until every child is gone, or its context ends.
	Block
)

var policyNames = [...]string{"refcount", "trap", "close-children", "block"}

// String returns the policy's name.
func (p Policy) String() string {
	if int(p) < len(policyNames) {
		return policyNames[p]
	}
	return fmt.Sprintf("policy(%d)", uint8(p))
}

// Set sets p to the policy named s.
func (p *Policy) Set(s string) error {
	for i, name := range policyNames {
		if s == name {
			*p = Policy(i)
			return nil
		}
	}
	return fmt.Errorf("unknown drop policy %q: it is one of %s", s, strings.Join(policyNames[:], ", "))
}

// Type returns the word that command-line help uses for the value.
func (p *Policy) Type() string { return "policy" }

// MarshalText returns the policy's name, or an error if it has none.
func (p Policy) MarshalText() ([]byte, error) {
	if int(p) >= len(policyNames) {
		return nil, fmt.Errorf("no such drop policy: %d", uint8(p))
	}
	return []byte(p.String()), nil
}

// UnmarshalText sets p to the policy that text names.
func (p *Policy) UnmarshalText(text []byte) error { return p.Set(string(text)) }
