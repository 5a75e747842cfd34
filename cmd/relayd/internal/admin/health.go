package admin

import (
	"context"
	_ "embed"
	"net/http"
	"time"
)

// healthTime is how long the relay may take to show that it lives.
const healthTime = 3 * time.Second

// Health is the answer to a question about it.
type Health struct {
	Status string `json:"status"` // "ok", "draining"
}

// health tells whether the relay does its work: every event loop turns, and no
// listener leaves connections waiting.
func (s *Server) health(r *request) error {
	ctx, stop := context.WithTimeout(r.Context(), healthTime)
	defer stop()
	if err := s.Relay.Alive(ctx); err != nil && !s.Relay.Draining() {
		return fail(http.StatusServiceUnavailable, "not_alive", "%v", err)
	}
	return r.answer(http.StatusOK, Health{"ok"})
}

// ready tells whether the relay takes new connections.
func (s *Server) ready(r *request) error {
	if s.Relay.Draining() {
		return fail(http.StatusServiceUnavailable, "draining", "the relay is draining")
	}
	return s.health(r)
}

//go:embed openapi.yaml
var reference []byte

// openapi serves the reference.
func (s *Server) openapi(r *request) error {
	r.w.Header().Set("Content-Type", "application/yaml")
	r.w.Write(reference)
	return nil
}
