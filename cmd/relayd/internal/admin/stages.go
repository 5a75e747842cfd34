package admin

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"sync"
	"time"

	"relayd/relay"
	"relayd/transform"
)

// A StagesRequest changes a chain: that of a route, for the conns that come, or of
// conns that live, or both.
type StagesRequest struct {
	// Op is "add", "set", which puts Stage in place of another one, or "rm".
	Op        string `json:"op"`
	Direction string `json:"direction"` // "up" or "down"
	Stage     string `json:"stage,omitempty"`
	// At is the stage that is set or removed, by its number from 1 or its name. To
	// add it is a place: before such a stage, or first, last, plain, which is the
	// default, or wire.
	At string `json:"at,omitempty"`
	// Route is the route; with Live its conns that live change as well. It is the
	// default one, if there are neither IDs nor a Filter.
	Route  string   `json:"route,omitempty"`
	Live   bool     `json:"live,omitempty"`
	IDs    []string `json:"ids,omitempty"`
	Filter *Filter  `json:"filter,omitempty"`
	DryRun bool     `json:"dry_run,omitempty"` // only say what it would be
	// Within is how long a conn may take until what is on its way through its old
	// stages has left. If it takes longer it changes when it can; with Kill it is
	// killed.
	Within Seconds `json:"within_seconds,omitempty"`
	Kill   bool    `json:"kill_blocked,omitempty"`
}

// A StagesChange is the answer to it.
type StagesChange struct {
	Route   *RouteInfo   `json:"route"` // null if only conns were to change
	Changed int          `json:"changed"`
	DryRun  bool         `json:"dry_run,omitempty"`
	Conns   []ConnChange `json:"conns"`
}

// A ConnChange is what became of one conn.
type ConnChange struct {
	ID string `json:"id"`
	// Up and Down are its chains now, or what they are to be. They are empty if
	// it has not changed.
	Up      []string `json:"up"`
	Down    []string `json:"down"`
	Blocked bool     `json:"blocked,omitempty"` // not in time, and so later
	Killed  bool     `json:"killed,omitempty"`
	Error   string   `json:"error,omitempty"` // why it has not changed
}

// How long a conn may take to change, and how many are waited for at once.
const (
	editWithin    = 5 * time.Second
	maxEditWithin = 5 * time.Minute
	editors       = 64
)

// stages changes them. A conn that does not let go in time is its own trouble:
// the answer comes.
func (s *Server) stages(r *request) error {
	q := r.body.(*StagesRequest)
	edit, err := q.edit(s.Allows)
	if err != nil {
		return err
	}
	within, err := q.scope()
	if err != nil {
		return err
	}
	out := StagesChange{DryRun: q.DryRun}
	conns := s.Relay.Conns()
	if err := s.knows(q.Filter, conns); err != nil {
		return err
	}
	for _, id := range choose(q.IDs, q.Filter, conns) {
		out.Conns = append(out.Conns, ConnChange{ID: id})
	}
	if q.Route != "" {
		route, err := s.editRoute(q.Route, edit, q.DryRun)
		var wrong *Error
		switch {
		case errors.As(err, &wrong):
			return err
		case err != nil:
			return fail(http.StatusConflict, "no_such_stage", "%v", err)
		}
		out.Route = route
	}
	// After the route, so that no conn is missed that is accepted meanwhile.
	if q.Live {
		for _, c := range s.Relay.Conns() {
			if c.Route == q.Route {
				out.Conns = append(out.Conns, ConnChange{ID: c.ID})
			}
		}
	}
	r.to.SetWriteDeadline(time.Now().Add(within + writeTime))
	s.editConns(r.Context(), q, edit, within, out.Conns)
	for i := range out.Conns {
		if c := &out.Conns[i]; c.Error == "" && !c.Blocked {
			out.Changed++
		}
	}
	if !q.DryRun {
		s.log.Info("admin: stages changed", "op", q.Op, "direction", q.Direction, "stage", q.Stage, "at", q.At,
			"route", q.Route, "conns", len(out.Conns), "changed", out.Changed)
	}
	if out.Conns == nil {
		out.Conns = []ConnChange{}
	}
	return r.answer(http.StatusOK, out)
}

// edit makes the change that is asked for, with a stage that is allowed.
func (q *StagesRequest) edit(allows func(transform.Stage) error) (relay.Edit, error) {
	var change func(transform.Chain) (transform.Chain, error)
	var stage transform.Stage
	var err error
	switch q.Op {
	case "add", "set":
		if q.Stage == "" {
			return nil, badRequest("op=%s needs a stage", q.Op)
		}
		stage, err = transform.ParseStage(q.Stage)
		switch {
		case errors.Is(err, fs.ErrPermission):
			return nil, fail(http.StatusForbidden, "sandboxed", "%v: neither relayd's user nor its sandbox (--sandbox-path) may forbid it", err)
		case err != nil:
			return nil, badRequest("%v", err)
		}
		if allows != nil {
			if err := allows(stage); err != nil {
				return nil, fail(http.StatusForbidden, "sandboxed", "stage %s: %v", stage, err)
			}
		}
	case "rm":
		if q.Stage != "" {
			return nil, badRequest("op=rm takes no stage: at says which one goes")
		}
	default:
		return nil, badRequest("op=%q: it is add, set or rm", q.Op)
	}
	if q.Op != "add" && q.At == "" {
		return nil, badRequest("op=%s needs to know at which stage: its number from 1, or its name", q.Op)
	}
	switch q.Op {
	case "add":
		change = func(c transform.Chain) (transform.Chain, error) { return c.Insert(q.At, stage) }
	case "set":
		change = func(c transform.Chain) (transform.Chain, error) { return c.Replace(q.At, stage) }
	case "rm":
		change = func(c transform.Chain) (transform.Chain, error) { return c.Remove(q.At) }
	}
	switch q.Direction {
	case "up":
		return func(up, down transform.Chain) (transform.Chain, transform.Chain, error) {
			up, err := change(up)
			return up, down, err
		}, nil
	case "down":
		return func(up, down transform.Chain) (transform.Chain, transform.Chain, error) {
			down, err := change(down)
			return up, down, err
		}, nil
	}
	return nil, badRequest("direction=%q: it is up, from the client to the upstream, or down", q.Direction)
}

// scope checks what is to change, and how long that may take.
func (q *StagesRequest) scope() (within time.Duration, err error) {
	conns := len(q.IDs) > 0 || !q.Filter.Empty()
	if q.Route == "" && !conns {
		q.Route = relay.DefaultName
	}
	within = q.Within.Duration()
	switch {
	case len(q.IDs) > 0 && !q.Filter.Empty():
		err = badRequest("it has ids or a filter, not both")
	case conns && (q.Route != "" || q.Live):
		err = badRequest("it is for a route, or for conns, not both; live changes all conns of the route")
	case within < 0 || within > maxEditWithin:
		err = badRequest("within: a change may take up to %v", maxEditWithin)
	case within == 0:
		within = editWithin
	}
	return within, err
}

// editRoute changes the chains for the conns that come.
func (s *Server) editRoute(name string, edit relay.Edit, dryRun bool) (*RouteInfo, error) {
	info, err := s.route(name)
	if err != nil {
		return nil, err
	}
	if dryRun {
		info.Up, info.Down, err = edit(info.Up, info.Down)
	} else {
		info.Up, info.Down, err = s.Relay.EditChains(name, edit)
	}
	if err != nil {
		return nil, err
	}
	route := routeOf(&info)
	return &route, nil
}

// errDryRun ends an edit that is only tried.
var errDryRun = errors.New("dry run")

// editConns changes those that live, and waits for all. They are all asked before any
// is waited for: those that do not let go would take the time of the others.
func (s *Server) editConns(ctx context.Context, q *StagesRequest, edit relay.Edit, within time.Duration, todo []ConnChange) {
	now, stop := context.WithCancel(ctx)
	stop() // which waits for none
	next := make(chan *ConnChange, len(todo))
	for i := range todo {
		if c := &todo[i]; q.DryRun {
			s.tryEdit(now, edit, c)
		} else if s.editConn(now, edit, c); c.Blocked {
			next <- c
		}
	}
	close(next)
	ctx, stop = context.WithTimeout(ctx, within)
	defer stop()
	var running sync.WaitGroup
	work := func() {
		for c := range next {
			s.awaitEdit(ctx, q, c)
		}
	}
	for range min(editors, len(next)) {
		running.Go(work)
	}
	running.Wait()
}

// editConn changes one, and notes what has come of it.
func (s *Server) editConn(ctx context.Context, edit relay.Edit, c *ConnChange) {
	up, down, err := s.Relay.EditConn(ctx, c.ID, edit)
	c.Up, c.Down, c.Blocked, c.Error = texts(up), texts(down), errors.Is(err, relay.ErrBlocked), ""
	if err != nil {
		c.Error = err.Error()
	}
}

// awaitEdit waits for one that was asked to change. It is killed if it had its time,
// and not if who asked has gone.
func (s *Server) awaitEdit(ctx context.Context, q *StagesRequest, c *ConnChange) {
	s.editConn(ctx, asItIs, c)
	if !c.Blocked || !q.Kill || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return
	}
	killing, stop := context.WithTimeout(context.Background(), killWithin)
	defer stop()
	_, err := s.Relay.Kill(killing, c.ID)
	c.Blocked, c.Killed = false, err == nil || errors.Is(err, relay.ErrNoConn)
}

// asItIs waits for the change before it.
func asItIs(up, down transform.Chain) (transform.Chain, transform.Chain, error) {
	return up, down, nil
}

// tryEdit says what an edit would come to.
func (s *Server) tryEdit(ctx context.Context, edit relay.Edit, c *ConnChange) {
	c.Up, c.Down = []string{}, []string{}
	_, _, err := s.Relay.EditConn(ctx, c.ID, func(up, down transform.Chain) (transform.Chain, transform.Chain, error) {
		up, down, err := edit(up, down)
		if err == nil {
			c.Up, c.Down, err = texts(up), texts(down), errDryRun
		}
		return nil, nil, err
	})
	if !errors.Is(err, errDryRun) {
		c.Error = err.Error()
	}
}
