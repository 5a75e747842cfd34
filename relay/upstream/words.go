package upstream

import (
	"fmt"
	"strings"
)

// A Balance is how a pool chooses among its members that are up.
type Balance uint8

// The balances.
const (
	RoundRobin Balance = iota // in turn, smoothly: no member twice in a row for its weight only
	LeastConns                // the fewest conns for its weight
	TwoChoices                // the better of two at random: near LeastConns, without its herds
	Hash                      // by the client's address, the same one while it is up, in every process
	First                     // the first that is up, in the order of the targets
)

var balances = []string{"round-robin", "least-conns", "two-choices", "hash", "first"}

// An OnDown is what becomes of the conns of a member that goes down.
type OnDown uint8

// What to do with them.
const (
	Keep  OnDown = iota // they go on
	FIN                 // they are finished: what is on its way is delivered
	Reset               // they are reset
)

var onDowns = []string{"keep", "fin", "reset"}

// Records are what is looked up for a target's name.
type Records uint8

// The records.
const (
	Hosts Records = iota // A and AAAA; the port is the address's
	SRV                  // SRV, and A and AAAA of the hosts that it names
)

var records = []string{"hosts", "srv"}

// A State is what a member is to the pool; the package comment has a diagram.
type State uint8

// The states.
const (
	Up       State = iota // gets conns
	Starting              // is to be checked, and until then gets conns
	Down                  // checks fail, or it is down by hand
	Ejected               // dials failed: left alone for a time
	Draining              // gets no conns by hand, or by DNS; those that it has go on
)

var states = []string{"up", "starting", "down", "ejected", "draining"}

func (b Balance) valid() bool { return int(b) < len(balances) }
func (o OnDown) valid() bool  { return int(o) < len(onDowns) }
func (r Records) valid() bool { return int(r) < len(records) }

// String returns the balance as configurations spell it.
func (b Balance) String() string { return word(b, balances) }

// String returns the word that configurations have for it.
func (o OnDown) String() string { return word(o, onDowns) }

// String returns the records as configurations spell them.
func (r Records) String() string { return word(r, records) }

// String returns the state in a word.
func (s State) String() string { return word(s, states) }

// MarshalText returns what String does.
func (b Balance) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// MarshalText returns what String does.
func (o OnDown) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// MarshalText returns what String does.
func (r Records) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// MarshalText returns what String does.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText parses what String returns.
func (b *Balance) UnmarshalText(text []byte) error { return parse(b, balances, "balance", text) }

// UnmarshalText parses what String returns.
func (o *OnDown) UnmarshalText(text []byte) error { return parse(o, onDowns, "on-down", text) }

// UnmarshalText parses what String returns.
func (r *Records) UnmarshalText(text []byte) error { return parse(r, records, "records", text) }

// UnmarshalText parses what String returns.
func (s *State) UnmarshalText(text []byte) error { return parse(s, states, "state", text) }

// word returns the word for v.
func word[T ~uint8](v T, words []string) string {
	if int(v) < len(words) {
		return words[v]
	}
	return fmt.Sprintf("unknown(%d)", uint8(v))
}

// parse finds the value that text is the word for.
func parse[T ~uint8](to *T, words []string, what string, text []byte) error {
	for i, w := range words {
		if w == string(text) {
			*to = T(i)
			return nil
		}
	}
	return fmt.Errorf("%s %q is none of %s", what, text, strings.Join(words, ", "))
}
