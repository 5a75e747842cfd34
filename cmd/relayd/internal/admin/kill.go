package admin

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"relayd/relay"
)

// How long a kill may take, and how many conns are reset at once.
const (
	killWithin    = 10 * time.Second
	maxKillWithin = 5 * time.Minute
	killers       = 16
)

// kill kills those that the request names, or chooses.
func (s *Server) kill(r *request) error {
	q := r.body.(*KillRequest)
	switch {
	case len(q.IDs) > 0 && q.Filter != nil:
		return badRequest("a kill has ids or a filter, not both")
	case len(q.IDs) == 0 && q.Filter.Empty():
		e := badRequest("a kill needs ids, or a filter with a condition")
		e.Hint = `the filter {"all": "true"} is every conn`
		return e
	}
	list := s.Relay.Conns()
	if err := s.knows(q.Filter, list); err != nil {
		return err
	}
	var chosen []Kill
	for _, id := range choose(q.IDs, q.Filter, list) {
		chosen = append(chosen, Kill{ID: id})
	}
	return s.killAll(r, q, chosen, list)
}

// killOne kills the one in the path.
func (s *Server) killOne(r *request) error {
	q := &KillRequest{How: r.query.Get("how")}
	if v := r.query.Get("within"); v != "" {
		d, err := duration(v)
		if err != nil {
			return badRequest("parameter within=%s: %v", v, err)
		}
		q.Within = seconds(d)
	}
	return s.killAll(r, q, []Kill{{ID: r.PathValue("id")}}, s.Relay.Conns())
}

// killAll kills the chosen ones, several at a time, and answers.
func (s *Server) killAll(r *request, q *KillRequest, chosen []Kill, list []relay.ConnInfo) error {
	how, within, err := q.terms()
	if err != nil {
		return err
	}
	clients := make(map[string]string, len(list))
	for i := range list {
		clients[list[i].ID] = list[i].Client
	}
	out := Kills{DryRun: q.DryRun, Kills: chosen}
	if out.Kills == nil {
		out.Kills = []Kill{}
	}
	var todo []*Kill
	for i := range chosen {
		k := &chosen[i]
		client, lives := clients[k.ID]
		if k.Client = client; !lives {
			k.Error = relay.ErrNoConn.Error()
			continue
		}
		out.Matched++
		todo = append(todo, k)
	}
	if len(chosen) == 1 && out.Matched == 0 {
		return noConn(chosen[0].ID)
	}
	if !q.DryRun {
		// Who asked may go: conns that finish are not reset for that, and keep
		// nobody out who still asks.
		ctx, stop := context.WithTimeout(context.WithoutCancel(r.Context()), within)
		defer stop()
		defer context.AfterFunc(s.ctx, stop)()
		r.to.SetWriteDeadline(time.Now().Add(within + writeTime))
		at := min(killers, len(todo))
		if q.How == "fin" {
			at = len(todo) // they only wait, and who began late would have no time left
			defer context.AfterFunc(r.Context(), r.leave)()
		}
		s.killThese(ctx, how, at, todo)
		s.log.Info("admin: killed", "conns", len(todo), "how", q.How)
	}
	for i := range chosen {
		if chosen[i].Released && chosen[i].Error == "" {
			out.Killed++
		}
	}
	return r.answer(http.StatusOK, out)
}

// terms are how to kill, and how long that may take.
func (q *KillRequest) terms() (how func(*relay.Server, context.Context, string) (relay.KillReport, error), within time.Duration, err error) {
	switch q.How {
	case "", "rst":
		q.How, how = "rst", (*relay.Server).Kill
	case "fin":
		how = (*relay.Server).Finish
	default:
		return nil, 0, badRequest("how=%q: it is rst, which ends a conn at once, or fin, which lets it deliver what it has read", q.How)
	}
	within = q.Within.Duration()
	switch {
	case within == 0:
		within = killWithin
	case within < 0 || within > maxKillWithin:
		return nil, 0, badRequest("within: a kill may take up to %v", maxKillWithin)
	}
	return how, within, nil
}

// killThese kills conns, so many at a time, and waits for all.
func (s *Server) killThese(ctx context.Context, how func(*relay.Server, context.Context, string) (relay.KillReport, error), at int, todo []*Kill) {
	next := make(chan *Kill)
	var running sync.WaitGroup
	work := func() {
		for k := range next {
			report, err := how(s.Relay, ctx, k.ID)
			k.fill(&report, err)
		}
	}
	for range at {
		running.Go(work)
	}
	for _, k := range todo {
		next <- k
	}
	close(next)
	running.Wait()
}

// fill notes what became of a kill.
func (k *Kill) fill(r *relay.KillReport, err error) {
	k.Took = seconds(r.Conn.Took)
	k.ClientProof, k.UpstreamProof = proofOf(r.Client), proofOf(r.Upstream)
	switch {
	case errors.Is(err, relay.ErrNoConn):
		k.Released = true // by itself, just now
	case err != nil:
		k.Error = err.Error()
		k.Holders = resourcesOf(r.Conn.Holders)
	default:
		k.Released = true
	}
}
