package admin

import (
	"net/http"
	"strings"

	"relayd/relay/upstream"
)

// Upstreams is the answer to a question about all of them.
type Upstreams struct {
	Upstreams []upstream.Status `json:"upstreams"`
}

// A TargetRequest puts a target into a state by hand.
type TargetRequest struct {
	// State is "up", which leaves it to checks and dials again, "down", or
	// "drain", in which it gets no more conns.
	State  string `json:"state"`
	DryRun bool   `json:"dry_run,omitempty"` // only say how it is
}

// A TargetState is how a target is: all addresses that it has.
type TargetState struct {
	Upstream string                  `json:"upstream"`
	Target   string                  `json:"target"`
	DryRun   bool                    `json:"dry_run"`
	Members  []upstream.MemberStatus `json:"members"`
}

// The states that a target can be put into.
var handStates = map[string]upstream.State{"up": upstream.Up, "down": upstream.Down, "drain": upstream.Draining}

// upstreams lists them.
func (s *Server) upstreams(r *request) error {
	list := s.Relay.Upstreams()
	for i := range list {
		if list[i].Members == nil {
			list[i].Members = []upstream.MemberStatus{}
		}
	}
	return r.answer(http.StatusOK, Upstreams{list})
}

// target describes one target.
func (s *Server) target(r *request) error {
	t, err := s.targetState(r.PathValue("upstream"), r.PathValue("target"))
	if err != nil {
		return err
	}
	return r.answer(http.StatusOK, t)
}

// setTarget puts one into a state, until somebody puts it into another. A reload
// leaves it there.
func (s *Server) setTarget(r *request) error {
	q := r.body.(*TargetRequest)
	name, target := r.PathValue("upstream"), r.PathValue("target")
	state, ok := handStates[q.State]
	if !ok {
		return badRequest("state: %q is not up, down or drain", q.State)
	}
	if _, err := s.targetState(name, target); err != nil {
		return err
	}
	if pool := s.Relay.Upstream(name); pool != nil && !q.DryRun {
		if err := pool.Set(target, state); err != nil {
			return fail(http.StatusNotFound, "no_such_target", "%v", err)
		}
		s.log.Info("target set by hand", "upstream", name, "target", target, "state", q.State)
	}
	t, err := s.targetState(name, target)
	if err != nil {
		return err
	}
	t.DryRun = q.DryRun
	return r.answer(http.StatusOK, t)
}

// targetState describes a target, or says which there are.
func (s *Server) targetState(name, target string) (TargetState, error) {
	t := TargetState{Upstream: name, Target: target, Members: []upstream.MemberStatus{}}
	pool := s.Relay.Upstream(name)
	if pool == nil {
		var names []string
		for _, u := range s.Relay.Upstreams() {
			names = append(names, u.Name)
		}
		return t, fail(http.StatusNotFound, "no_such_target", "there is no upstream %q: there is %s", name, strings.Join(names, ", "))
	}
	var names []string
	known := false
	for _, c := range pool.Config().Targets {
		names = append(names, c.Name)
		known = known || c.Name == target
	}
	if !known {
		return t, fail(http.StatusNotFound, "no_such_target", "upstream %q has no target %q: it has %s", name, target, strings.Join(names, ", "))
	}
	for _, m := range pool.Status().Members {
		if m.Target == target {
			t.Members = append(t.Members, m)
		}
	}
	return t, nil
}
