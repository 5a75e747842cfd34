package admin

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"relayd/cmd/relayd/internal/tap"
	"relayd/relay"
)

// tapPlaces are the sides of the stages, by their names.
var tapPlaces = map[string]relay.TapPlace{
	"": relay.AtPlain, "plain": relay.AtPlain, "wire": relay.AtWire, "client": relay.AtClient, "upstream": relay.AtUpstream,
}

// TapPlaces are the names.
var TapPlaces = slices.DeleteFunc(slices.Sorted(maps.Keys(tapPlaces)), func(s string) bool { return s == "" })

// tap follows a conn to its end. A watcher that is slow misses bytes, and one
// that takes none for long is left.
func (s *Server) tap(r *request) error {
	at, ok := tapPlaces[r.query.Get("at")]
	if !ok {
		return badRequest("parameter at=%s: a tap is at %s", r.query.Get("at"), strings.Join(TapPlaces, ", "))
	}
	id := r.PathValue("id")
	feed, err := tap.Open(s.Relay, id, relay.TapOptions{At: at})
	switch {
	case errors.Is(err, relay.ErrNoConn):
		return noConn(id)
	case errors.Is(err, relay.ErrTooManyTaps):
		return fail(http.StatusConflict, "too_many_taps", "%v", err)
	case err != nil:
		return err
	}
	defer feed.Close()
	defer context.AfterFunc(s.ctx, func() { feed.Close() })()
	s.log.Info("admin: a tap begins", "conn", id, "at", r.query.Get("at"))
	r.w.Header().Set("Content-Type", "application/jsonl")
	r.w.Header().Set("Cache-Control", "no-store")
	began := time.Now()
	err = feed.Send(r.Context(), r, r.flush)
	s.log.Info("admin: a tap ends", "conn", id, "after", time.Since(began).Round(time.Millisecond), "err", err)
	return nil
}
