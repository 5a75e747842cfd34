package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// A tally counts what was played, for the table at the end. Its parts are counts by
// name.
type tally struct {
	mu       sync.Mutex
	episodes int
	calls    int
	answered int
	bytes    int64 // that have arrived
	parts    map[string]map[string]int
}

// The parts, in the order of the table.
const (
	ofEntrances = "calls by entrance"
	ofPlans     = "what peers did"
	ofTroubles  = "what was done to the relay"
	ofErrors    = "what the system said"
	ofRefusals  = "refused before they were conns"
	ofEnds      = "conns by how they ended"
)

var parts = []string{ofEntrances, ofPlans, ofTroubles, ofErrors, ofRefusals, ofEnds}

func newTally() *tally {
	t := &tally{parts: make(map[string]map[string]int)}
	for _, p := range parts {
		t.parts[p] = make(map[string]int)
	}
	return t
}

// did counts what a trouble did.
func (t *tally) did(what string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n > 0 {
		t.parts[ofTroubles][what] += n
	}
}

// errnos are what is counted in the errors of conns.
var errnos = []string{
	"no space left on device", "too many open files", "signal: killed", "connection refused", "connection reset by peer",
	"broken pipe", "without close_notify", "i/o timeout", "not over in time",
}

// add counts an episode.
func (t *tally) add(o *outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.episodes++
	for _, k := range o.seen.Calls {
		t.calls++
		t.bytes += k.Client.Got + k.Upstream.Got
		t.parts[ofPlans]["client "+k.Client.Plan]++
		through := ""
		if k.Through {
			through = "+tls through"
		}
		t.parts[ofEntrances][k.Entrance+through]++
		if k.Answered {
			t.answered++
			t.parts[ofPlans]["upstream "+k.Upstream.Plan]++
		}
	}
	for end, n := range o.stats.Ended {
		t.parts[ofEnds][end.Reason.String()] += int(n)
	}
	for why, n := range o.stats.Refused {
		if n > 0 {
			t.parts[ofRefusals][why] += int(n)
		}
	}
	t.parts[ofEnds]["(truncated, and said so)"] += int(o.stats.Truncated)
	for _, ends := range o.ends {
		for _, end := range ends {
			for _, what := range errnos {
				if strings.Contains(end.err, what) {
					t.parts[ofErrors][what]++
				}
			}
		}
	}
}

// String is a table.
func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%d episodes, %d calls, %d answered, %d MiB arrived\n", t.episodes, t.calls, t.answered, t.bytes>>20)
	for _, part := range parts {
		counts := t.parts[part]
		all := 0
		for _, n := range counts {
			all += n
		}
		fmt.Fprintf(&b, "%-32s %8d\n", part, all)
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			fmt.Fprintf(&b, "  %-30s %8d\n", name, counts[name])
		}
	}
	return b.String()
}
