package lifetime_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"relayd/lifetime"
)

// A scene plays a sequence of events on a sock, inside a synctest bubble: after
// each event it waits until every goroutine is blocked, so that what has not
// happened by then does not happen.
//
// An event is a verb and a part: P the parent, R and W its halves, C a clone of
// R. A call that waits, say "read R", may end during a later event.
type scene struct {
	t      *testing.T
	policy lifetime.Policy
	sock   *sock

	mu      sync.Mutex
	pending []*call
	ended   []*call // during this event
	gone    []string
	reports map[*part]lifetime.Report // the final ones
	shut    map[*part]bool            // has had its first cause
}

// A call is an event that may take its time.
type call struct {
	event  string
	verb   string
	part   *part
	cancel context.CancelFunc
	result string
}

func newScene(t *testing.T, policy lifetime.Policy) *scene {
	sc := &scene{
		t: t, policy: policy, sock: newSock(t, policy),
		reports: make(map[*part]lifetime.Report),
		shut:    make(map[*part]bool),
	}
	for _, p := range sc.parts() {
		p.onGone = sc.noteGone
	}
	return sc
}

// parts returns the sock's parts in the matrix's order, in or out of the tree.
func (sc *scene) parts() []*part {
	return []*part{&sc.sock.p, &sc.sock.r, &sc.sock.w, &sc.sock.c}
}

const partLetters = "PRWC"

func (sc *scene) part(letter string) *part {
	i := strings.Index(partLetters, letter)
	if len(letter) != 1 || i < 0 {
		sc.t.Fatalf("no part %q", letter)
	}
	return sc.parts()[i]
}

func (sc *scene) letter(p *part) string {
	i := slices.Index(sc.parts(), p)
	return partLetters[i : i+1]
}

func (sc *scene) noteGone(p *part) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.gone = append(sc.gone, sc.letter(p))
}

// play makes an event happen, and returns what came of it: the result of the
// event itself, or "waits"; then the earlier calls that ended, and the parts
// that were released.
func (sc *scene) play(event string) string {
	sc.mu.Lock()
	sc.ended, sc.gone = nil, nil
	sc.mu.Unlock()
	c := sc.begin(event)
	synctest.Wait()

	sc.mu.Lock()
	defer sc.mu.Unlock()
	own := "waits"
	var others []string
	for _, e := range sc.ended {
		if e == c {
			own = e.result
		} else {
			others = append(others, e.event+"="+e.result)
		}
	}
	if len(sc.gone) > 0 {
		others = append(others, "gone "+strings.Join(sc.gone, " "))
	}
	return canonical(strings.Join(append([]string{own}, others...), "; "))
}

// canonical orders what has no order in the matrix: the calls that an event
// ended, and the parts that it released. The parts themselves know that
// children go first.
func canonical(result string) string {
	items := strings.Split(result, "; ")
	for i, item := range items {
		if list, ok := strings.CutPrefix(item, "gone "); ok {
			letters := strings.Fields(list)
			slices.Sort(letters)
			items[i] = "gone " + strings.Join(letters, " ")
		}
	}
	slices.Sort(items[1:])
	return strings.Join(items, "; ")
}

// begin starts the call of an event, on a goroutine of its own.
func (sc *scene) begin(event string) *call {
	words := strings.Fields(event)
	c := &call{event: event, verb: words[0], part: sc.part(words[1])}
	switch c.verb {
	case "expire":
		sc.expire(event)
	case "pass": // time
		<-time.After(sc.duration(words[2:]))
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	sc.mu.Lock()
	sc.pending = append(sc.pending, c)
	sc.mu.Unlock()
	go sc.run(ctx, c, words[2:])
	return c
}

func (sc *scene) run(ctx context.Context, c *call, args []string) {
	result := sc.do(ctx, c, args)
	c.cancel()
	sc.mu.Lock()
	defer sc.mu.Unlock()
	c.result = result
	sc.ended = append(sc.ended, c)
	sc.pending = slices.DeleteFunc(sc.pending, func(o *call) bool { return o == c })
}

// expire ends the contexts of the pending calls on a part: "expire P".
func (sc *scene) expire(event string) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	n := 0
	for _, c := range sc.pending {
		if sc.letter(c.part) == strings.Fields(event)[1] {
			c.cancel()
			n++
		}
	}
	if n == 0 {
		sc.t.Errorf("%s: nothing is pending", event)
	}
}

// kindOf returns the kind that a part has.
func (sc *scene) kindOf(p *part) lifetime.Kind[part] {
	switch p {
	case &sc.sock.w:
		return writeKind
	case &sc.sock.p:
		return socketKind
	}
	return readKind
}

// do makes a call and returns its result.
func (sc *scene) do(ctx context.Context, c *call, args []string) string {
	p := c.part
	switch c.verb {
	case "acquire": // from P's owner
		return outcome(sc.t, p.join(sc.kindOf(p), sc.policy))
	case "beside": // from R, a child
		return outcome(sc.t, p.joinBeside(&sc.sock.r, sc.kindOf(p), sc.policy))
	case "drop":
		left, err := p.Drop(ctx)
		sc.dropReturned(p, err)
		return dropOutcome(sc.t, left, err)
	case "begin-drop":
		left, err := p.BeginDrop()
		return dropOutcome(sc.t, left, err)
	case "use": // an operation that does not wait
		return outcome(sc.t, p.use())
	case "read", "write": // operations that wait
		return outcome(sc.t, p.wait(false))
	case "spin": // an operation that hears no interrupt
		return outcome(sc.t, p.wait(true))
	case "panic": // an operation that panics, in code that defers its cleaning up
		return sc.panics(p)
	case "shutdown":
		return sc.reported(p)(p.Shutdown(ctx, sc.cause(p, args)))
	case "finish":
		return sc.reported(p)(p.Finish(ctx, sc.cause(p, args)))
	default:
		return sc.set(c.verb, p, args)
	}
}

// set does what is no call: it changes the world around the sock, or looks.
func (sc *scene) set(verb string, p *part, args []string) string {
	switch verb {
	case "data": // every operation inside p finishes by itself
		for range p.inside.Load() {
			p.more <- struct{}{}
		}
	case "owe": // p will have something to drain
		p.owes.Store(true)
	case "pay": // and drains it
		p.pay <- nil
	case "fail": // or does not
		p.pay <- errReset
	case "eof": // the peer finished
		p.Ended(lifetime.PeerClosed, nil)
	case "reset": // the peer broke it off
		p.Ended(lifetime.Failed, errReset)
	case "grace":
		p.SetGrace(sc.duration(args))
	case "expire", "pass": // see begin
	case "state":
		return p.State().String()
	case "end":
		checkErr(sc.t, p)
		return p.End().String()
	case "list": // what a snapshot says
		return sc.list(p)
	default:
		sc.t.Errorf("no verb %q", verb)
	}
	return "ok"
}

func (sc *scene) duration(args []string) time.Duration {
	d, err := time.ParseDuration(strings.Join(args, ""))
	if err != nil {
		sc.t.Error(err)
	}
	return d
}

// cause is errFirst for the first shutdown of a part, and errSecond for those
// that come later, or are called second in the matrix.
func (sc *scene) cause(p *part, args []string) error {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if sc.shut[p] || slices.Contains(args, "second") {
		return errSecond
	}
	sc.shut[p] = true
	return errFirst
}

// panics is an operation that panics, under the deferred calls that a careful
// user has: leave, say that it failed, drop.
func (sc *scene) panics(p *part) (result string) {
	if err := p.Enter(); err != nil {
		return outcome(sc.t, err)
	}
	defer func() {
		if recover() == nil {
			sc.t.Error("no panic")
		}
		p.Ended(lifetime.Failed, errReset)
		p.Leave()
		left, err := p.BeginDrop()
		result = dropOutcome(sc.t, left, err)
	}()
	panic("a transformer's bug")
}

// dropReturned checks a drop's promise that its handle's operations have left.
func (sc *scene) dropReturned(p *part, err error) {
	if n := p.inside.Load(); n != 0 && err == nil {
		sc.t.Errorf("the drop of %s returned with %d operations inside", sc.letter(p), n)
	}
}

// dropOutcome is outcome for a drop: one that left children behind says so.
func dropOutcome(tb testing.TB, left lifetime.Left, err error) string {
	tb.Helper()
	names := left.Names() // by now
	if len(names) > left.Children {
		tb.Errorf("drop left %d children, named %q", left.Children, names)
	}
	if err != nil || left.Children == 0 {
		return outcome(tb, err)
	}
	return strings.Join(append([]string{"left"}, letters(names)...), " ")
}

// reported turns a shutdown's result into a word and the letters of the holders
// in the report. All final reports on one part must be the same.
func (sc *scene) reported(p *part) func(lifetime.Report, error) string {
	return func(r lifetime.Report, err error) string {
		if r.ID != p.ID() || r.Name != p.Name() || r.End != p.End() {
			sc.t.Errorf("report on %s ended as %v, want %s as %v", r.Name, r.End, p.Name(), p.End())
		}
		if err != nil {
			return outcome(sc.t, err) + " " + r.State.String()
		}
		if r.State != lifetime.Released {
			sc.t.Errorf("final report with the state %v", r.State)
		}
		sc.mu.Lock()
		defer sc.mu.Unlock()
		if old, ok := sc.reports[p]; ok && !reflect.DeepEqual(old, r) {
			sc.t.Errorf("two final reports on %s:\n%+v\n%+v", sc.letter(p), old, r)
		}
		sc.reports[p] = r
		words := []string{"report"}
		for _, h := range r.Holders {
			words = append(words, letters([]string{h.Name})...)
		}
		return strings.Join(words, " ")
	}
}

// list is a snapshot in a few words.
func (sc *scene) list(p *part) string {
	var b strings.Builder
	for _, i := range lifetime.Snapshot(&p.Node) {
		owner := "orphan"
		if i.Owned {
			owner = "owned"
		}
		fmt.Fprintf(&b, "%s/%v/%s/%d/%d ", letters([]string{i.Name})[0], i.State, owner, i.Children, i.Operations)
	}
	return strings.TrimSpace(b.String())
}
