package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"relayd/relay"
)

// A Filter chooses conns: those that meet all of its conditions. It is written
// alike in the query of a URL, in JSON and on the command line: a word for each
// condition, and a text for what it asks. The zero Filter has none, and lets
// every conn through.
type Filter struct {
	words map[string]string
	tests []func(*relay.ConnInfo) bool
}

// The conditions, by the word.
var conditions = map[string]func(value string) (func(*relay.ConnInfo) bool, error){
	"all":        allCondition,
	"route":      routeCondition,
	"listener":   listenerCondition,
	"upstream":   upstreamCondition,
	"target":     targetCondition,
	"client":     clientCondition,
	"state":      stateCondition,
	"older-than": olderCondition,
	"idle-for":   idleCondition,
}

// FilterWords are the words of the conditions, in order.
var FilterWords = slices.Sorted(maps.Keys(conditions))

// FilterHelp explains them, a line each.
const FilterHelp = `all=true              every conn
client=10.0.0.0/8     whose client has an address in that network, or that address
state=half-closed     in that state: opening, dialling, open, half-closed, lingering, closing
older-than=1h         accepted longer ago
idle-for=5m           of which no byte has moved for longer
listener=NAME         accepted there: its name, or its address if it has none
route=default         of that route
upstream=NAME         of that upstream
target=NAME           of an upstream's target of that name
`

// ParseFilter reads conditions as a command line has them: state=open. Several in
// one text are separated by commas.
func ParseFilter(texts ...string) (*Filter, error) {
	f := &Filter{}
	for _, text := range texts {
		for part := range strings.SplitSeq(text, ",") {
			word, value, ok := strings.Cut(strings.TrimSpace(part), "=")
			if !ok {
				return nil, fmt.Errorf("filter %q: a condition is written WORD=VALUE, as in state=half-closed", part)
			}
			if err := f.add(word, value); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

func (f *Filter) add(word, value string) error {
	condition, ok := conditions[word]
	if !ok {
		return fmt.Errorf("filter: unknown condition %q: there are %s", word, strings.Join(FilterWords, ", "))
	}
	if _, twice := f.words[word]; twice {
		return fmt.Errorf("filter: condition %q is given twice", word)
	}
	test, err := condition(value)
	if err != nil {
		return fmt.Errorf("filter %s=%s: %w", word, value, err)
	}
	if f.words == nil {
		f.words = make(map[string]string)
	}
	f.words[word] = value
	f.tests = append(f.tests, test)
	return nil
}

// Empty reports whether the filter has no condition.
func (f *Filter) Empty() bool { return f == nil || len(f.tests) == 0 }

// matches reports whether a conn meets all conditions.
func (f *Filter) matches(c *relay.ConnInfo) bool {
	for _, test := range f.tests {
		if !test(c) {
			return false
		}
	}
	return true
}

// choose returns the ids, or, if there are none, those of the conns that the
// filter lets through; a filter without a condition lets none.
func choose(ids []string, f *Filter, list []relay.ConnInfo) []string {
	if len(ids) > 0 || f.Empty() {
		return ids
	}
	for i := range list {
		if f.matches(&list[i]) {
			ids = append(ids, list[i].ID)
		}
	}
	return ids
}

// MarshalJSON writes an object of texts.
func (f *Filter) MarshalJSON() ([]byte, error) { return json.Marshal(f.words) }

// UnmarshalJSON reads it.
func (f *Filter) UnmarshalJSON(text []byte) error {
	var words map[string]string
	if err := json.Unmarshal(text, &words); err != nil {
		return fmt.Errorf(`filter: it is an object of texts, as in {"state": "half-closed"}: %w`, err)
	}
	*f = Filter{}
	for _, word := range slices.Sorted(maps.Keys(words)) {
		if err := f.add(word, words[word]); err != nil {
			return err
		}
	}
	return nil
}

func allCondition(value string) (func(*relay.ConnInfo) bool, error) {
	if value != "true" {
		return nil, fmt.Errorf("it can only be true")
	}
	return func(*relay.ConnInfo) bool { return true }, nil
}

func routeCondition(value string) (func(*relay.ConnInfo) bool, error) {
	if value == "" {
		return nil, fmt.Errorf("no such route: it has a name")
	}
	return func(c *relay.ConnInfo) bool { return c.Route == value }, nil
}

func upstreamCondition(value string) (func(*relay.ConnInfo) bool, error) {
	return func(c *relay.ConnInfo) bool { return c.Pool == value }, nil
}

func targetCondition(value string) (func(*relay.ConnInfo) bool, error) {
	return func(c *relay.ConnInfo) bool { return c.Target == value }, nil
}

func listenerCondition(value string) (func(*relay.ConnInfo) bool, error) {
	return func(c *relay.ConnInfo) bool {
		return c.Listener == value || strings.TrimPrefix(c.Listener, "tcp://") == value
	}, nil
}

// clientCondition takes a network or an address. A client without an IP address
// is in no network.
func clientCondition(value string) (func(*relay.ConnInfo) bool, error) {
	network, err := netip.ParsePrefix(value)
	if err != nil {
		a, aerr := netip.ParseAddr(value)
		if aerr != nil {
			return nil, fmt.Errorf("not an address, nor a network as 10.0.0.0/8 or fd00::/8")
		}
		network = netip.PrefixFrom(a.WithZone("").Unmap(), a.Unmap().BitLen())
	}
	if a := network.Addr(); a.Is4In6() && network.Bits() >= 96 {
		network = netip.PrefixFrom(a.Unmap(), network.Bits()-96) // clients are written so
	}
	network = network.Masked()
	return func(c *relay.ConnInfo) bool {
		a, err := netip.ParseAddrPort(c.Client)
		return err == nil && network.Contains(a.Addr().WithZone("").Unmap())
	}, nil
}

var states = []relay.ConnState{relay.Opening, relay.Dialling, relay.Open, relay.HalfOpen, relay.Lingering, relay.ShutDown}

func stateCondition(value string) (func(*relay.ConnInfo) bool, error) {
	if !slices.Contains(states, relay.ConnState(value)) {
		return nil, fmt.Errorf("no such state: there are %v", states)
	}
	return func(c *relay.ConnInfo) bool { return string(c.State) == value }, nil
}

func olderCondition(value string) (func(*relay.ConnInfo) bool, error) {
	d, err := duration(value)
	return func(c *relay.ConnInfo) bool { return c.Age > d }, err
}

func idleCondition(value string) (func(*relay.ConnInfo) bool, error) {
	d, err := duration(value)
	return func(c *relay.ConnInfo) bool { return c.Idle > d }, err
}

func duration(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("not a time: write 500ms, 30s, 5m or 1h30m")
	}
	return d, nil
}
