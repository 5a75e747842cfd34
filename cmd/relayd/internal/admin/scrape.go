package admin

import (
	"bytes"
	"maps"
	"net/http"
)

// A scrape is an answer of others' making that is complete before any of it is
// sent: few of them are made at once, and who does not read his takes none of these
// places away.
type scrape struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (s *scrape) Header() http.Header { return s.header }

func (s *scrape) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
}

func (s *scrape) Write(p []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	return s.body.Write(p)
}

// metrics answers a scraper.
func (s *Server) metrics(r *request) error {
	made := &scrape{header: make(http.Header)}
	s.Metrics.ServeHTTP(made, r.Request)
	maps.Copy(r.w.Header(), made.header)
	if made.status != 0 {
		r.w.WriteHeader(made.status)
	}
	r.w.Write(made.body.Bytes()) // who has gone does not need it
	return nil
}
