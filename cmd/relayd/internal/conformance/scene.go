package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"relayd/lifetime"
)

// A scene plays a script over one connection: P, its halves R and W, and C, a
// second holder beside R, which stands for the stage that a half was handed to.
type scene struct {
	c      *cell
	policy column
	l      *link
	r      reader
	w      writer
	stage  stage

	wrote    int  // by W, in writes that returned
	fin      bool // our end was on the wire
	peerGone bool // it finished or broke off
	got      int  // by the peer
	pending  []*call
	done     map[string]bool // who holds no longer
}

// A stage is a resource that holds a connection and does nothing with it.
type stage struct{ lifetime.Node }

var stageKind = lifetime.NewKind(lifetime.Hooks[stage]{Name: "stage"})

// A call is an event that may take its time.
type call struct {
	event  event
	cancel context.CancelFunc
	result string // when over is closed
	over   chan struct{}
	late   bool // "ok...": it may end at any later time
}

func (k *call) isOver() bool {
	select {
	case <-k.over:
		return true
	default:
		return false
	}
}

func (c *cell) scene(policy column) (*scene, error) {
	l, err := c.connect(policy.policy())
	if err != nil {
		return nil, err
	}
	return &scene{c: c, policy: policy, l: l, done: make(map[string]bool)}, nil
}

// node returns the resource behind a letter, or nil while it is not in the tree.
func (s *scene) node(letter byte) *lifetime.Node {
	switch {
	case letter == 'P':
		return s.l.p
	case letter == 'R' && s.r != nil:
		return s.r.Resource()
	case letter == 'W' && s.w != nil:
		return s.w.Resource()
	case letter == 'C' && s.stage.ID() != 0:
		return &s.stage.Node
	}
	return nil
}

const parts = "PRWC"

// holds reports whether a resource is not done yet.
func holds(n *lifetime.Node) bool {
	s := n.State()
	return s == lifetime.Live || s == lifetime.Dropping
}

// playScript plays a script to its end, which must leave nothing behind.
func (c *cell) playScript(sc script) error {
	s, err := c.scene(c.column)
	if err != nil {
		return err
	}
	err = s.steps(sc)
	if err == nil {
		err = s.finale()
	}
	s.abandon()
	return err
}

// steps plays some steps.
func (s *scene) steps(sc script) error {
	for i, st := range sc {
		want := st.want[s.policy]
		if want == "" {
			continue
		}
		if err := s.play(st.event, want); err != nil {
			return fmt.Errorf("step %d, %s: %w", i+1, st.event.text, err)
		}
	}
	return nil
}

// play makes one event happen and compares what came of it.
func (s *scene) play(e event, want string) error {
	items := strings.Split(want, "; ")
	k := s.start(e)
	if err := s.own(k, items[0]); err != nil {
		return err
	}
	var done []string
	for _, item := range items[1:] {
		if list, ok := strings.CutPrefix(item, "done "); ok {
			done = strings.Fields(list)
			continue
		}
		text, result, _ := strings.Cut(item, "=")
		if err := s.endOf(text, result); err != nil {
			return err
		}
	}
	if err := errors.Join(s.nothingElse(), s.doneNow(done)); err != nil {
		return err
	}
	s.fin = s.fin || s.finished()
	return nil
}

// start begins an event, on a goroutine of its own.
func (s *scene) start(e event) *call {
	k := &call{event: e, over: make(chan struct{})}
	var ctx context.Context
	ctx, k.cancel = context.WithCancel(s.c.ctx)
	s.pending = append(s.pending, k)
	if e.quick {
		k.run(ctx, s)
	} else {
		go k.run(ctx, s)
	}
	return k
}

func (k *call) run(ctx context.Context, s *scene) {
	defer close(k.over)
	defer k.cancel()
	k.result = k.event.run(ctx, s)
}

// own waits for the event's own result, or until it is seen to wait.
func (s *scene) own(k *call, want string) error {
	if want == "waits" {
		inside := func() bool { return k.event.inside != nil && k.event.inside(s) }
		begun := s.c.poll(func() bool { return k.isOver() || inside() })
		switch {
		case k.isOver():
			return fmt.Errorf("%s; want it to wait", k.result)
		case !begun:
			return errors.New("it has neither returned nor begun to wait")
		}
		return nil
	}
	return s.compare(k, want)
}

// compare waits for a call to end and compares its result.
func (s *scene) compare(k *call, want string) error {
	if word, late := strings.CutSuffix(want, "..."); late {
		if !k.isOver() {
			k.late = true
			return nil
		}
		want = word
	}
	select {
	case <-k.over:
	case <-s.c.ctx.Done():
		return fmt.Errorf("%s has not ended within %v; want %s", k.event.text, patience, want)
	}
	s.pending = slices.DeleteFunc(s.pending, func(o *call) bool { return o == k })
	if got := k.result; !s.matches(got, want) {
		return fmt.Errorf("%s; want %s", got, want)
	}
	return nil
}

// matches compares a result, allowing for what a kind cannot show.
func (s *scene) matches(got, want string) bool {
	switch {
	case got == want:
		return true
	case want == "end": // either way
		return got == "FIN" || got == "RST"
	case want == "RST" && s.c.kind == unix: // it has no reset on the wire
		return strings.HasPrefix(got, "FIN")
	}
	return false
}

// endOf waits for the end of an earlier event.
func (s *scene) endOf(text, want string) error {
	i := slices.IndexFunc(s.pending, func(k *call) bool { return k.event.text == text })
	if i < 0 {
		return fmt.Errorf("%s had ended before; want %s now", text, want)
	}
	if err := s.compare(s.pending[i], want); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	return nil
}

// nothingElse returns an error if an event has ended that should not have.
func (s *scene) nothingElse() error {
	for _, k := range s.pending {
		if k.isOver() && !k.late {
			return fmt.Errorf("it ended %s: %s", k.event.text, k.result)
		}
	}
	return nil
}

// doneNow waits until exactly these have stopped to hold, beside those before.
func (s *scene) doneNow(list []string) error {
	for _, l := range list {
		s.done[l] = true
	}
	for i := range parts {
		l := parts[i : i+1]
		n := s.node(l[0])
		if n == nil {
			continue
		}
		if s.done[l] && !s.c.poll(func() bool { return !holds(n) }) {
			return fmt.Errorf("%s still holds: it is %v", l, n.State())
		}
		if !s.done[l] && !holds(n) {
			return fmt.Errorf("%s does not hold any more: it is %v", l, n.State())
		}
	}
	return nil
}

// finale lets the peer finish, after which everything must have ended.
func (s *scene) finale() error {
	for i := range parts {
		if n := s.node(parts[i]); n != nil && holds(n) {
			return fmt.Errorf("%c was not dropped", parts[i])
		}
	}
	s.peerLeaves()
	for _, k := range s.pending {
		if !k.late {
			return fmt.Errorf("%s is still pending at the end", k.event.text)
		}
		k.late = false
	}
	for len(s.pending) > 0 {
		k := s.pending[0]
		want := "ok"
		if err := s.compare(k, want); err != nil {
			return fmt.Errorf("%s, at the end: %w", k.event.text, err)
		}
	}
	for i := range parts {
		n := s.node(parts[i])
		if n == nil {
			continue
		}
		if err := s.c.released(n); err != nil {
			return err
		}
		if err := endAgrees(n); err != nil {
			return err
		}
	}
	return s.l.released()
}

// peerLeaves finishes the far end: our side sees FIN, and no reset.
func (s *scene) peerLeaves() {
	s.peerGone = true
	s.l.peer.CloseWrite()
	readAll(s.l.peer, make([]byte, 64<<10))
	s.l.peer.Close()
}

// abandon takes away what a scene leaves, whether it failed or not.
func (s *scene) abandon() {
	s.l.p.BeginShutdown(errCell)
	for _, k := range s.pending {
		k.cancel()
	}
	s.l.peer.Close()
	for _, k := range s.pending {
		select {
		case <-k.over:
		case <-s.c.ctx.Done():
		}
	}
	s.c.released(s.l.p)
}

// endAgrees checks a released resource's end against its error.
func endAgrees(n *lifetime.Node) error {
	err := n.Err()
	want := map[lifetime.End]error{
		lifetime.Dropped:        lifetime.ErrDropped,
		lifetime.WasTrapped:     lifetime.ErrTrapped,
		lifetime.ClosedByParent: lifetime.ErrClosedByParent,
		lifetime.ShutDown:       lifetime.ErrShutdown,
		lifetime.Finished:       lifetime.ErrShutdown,
		lifetime.Lost:           lifetime.ErrDropped,
	}[n.End()]
	if n.End() == lifetime.Open || err == nil || want != nil && !errors.Is(err, want) {
		return fmt.Errorf("%s ended as %v, and its error is %v", n.Name(), n.End(), err)
	}
	return nil
}
