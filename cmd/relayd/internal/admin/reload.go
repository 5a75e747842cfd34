package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"relayd/relay"
)

// A ReloadRequest asks that the configuration is read again.
type ReloadRequest struct {
	DryRun bool `json:"dry_run,omitempty"` // only say what it would change
}

// A Reload is what one has changed. Without a file only certificates were read.
type Reload struct {
	File      string  `json:"file"` // "" if there is none
	DryRun    bool    `json:"dry_run"`
	Listeners Changes `json:"listeners"`
	Routes    Changes `json:"routes"`
	Upstreams Changes `json:"upstreams"`
	Killed    int     `json:"killed"`   // conns, of routes that are removed
	Draining  int     `json:"draining"` // and those that are to end in the route's drain time
}

// Changes are names.
type Changes struct {
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
	Changed []string `json:"changed"`
	Kept    []string `json:"kept"`
}

// ReloadOf describes a change.
func ReloadOf(file string, dryRun bool, c *relay.Change) Reload {
	return Reload{
		File: file, DryRun: dryRun, Killed: c.Killed, Draining: c.Draining,
		Listeners: changesOf(&c.Listeners), Routes: changesOf(&c.Routes), Upstreams: changesOf(&c.Upstreams),
	}
}

func changesOf(c *relay.Changes) Changes {
	return Changes{some(c.Added), some(c.Removed), some(c.Changed), some(c.Kept)}
}

// some is a list that is never null on the wire.
func some(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// reloadTime is how long one may take.
const reloadTime = 20 * time.Second

// reload does it. What is wrong with the file is answered with 422.
func (s *Server) reload(r *request) error {
	if s.Reload == nil {
		return fail(http.StatusConflict, "no_reload", "this relay has no configuration to read again")
	}
	// Who asked may go: half a reload is none.
	ctx, stop := context.WithTimeout(context.WithoutCancel(r.Context()), reloadTime)
	defer stop()
	r.to.SetWriteDeadline(time.Now().Add(reloadTime + writeTime))
	change, err := s.Reload(ctx, r.body.(*ReloadRequest).DryRun)
	switch {
	case errors.Is(err, relay.ErrDraining):
		return fail(http.StatusConflict, "draining", "%v", err)
	case err != nil:
		return fail(http.StatusUnprocessableEntity, "bad_config", "%v", err)
	}
	return r.answer(http.StatusOK, change)
}
