package admin

import (
	"net/http"
	"slices"

	"relayd/lifetime"
)

// Conns is the answer to a question about many.
type Conns struct {
	Total int    `json:"total"` // that live, whether they meet the filter or not
	Conns []Conn `json:"conns"` // the oldest first
}

// conns lists them.
func (s *Server) conns(r *request) error {
	f, err := r.filter()
	if err != nil {
		return err
	}
	list := s.Relay.Conns()
	if err := s.knows(f, list); err != nil {
		return err
	}
	out := Conns{Total: len(list), Conns: make([]Conn, 0, len(list))}
	for i := range list {
		if f.matches(&list[i]) {
			out.Conns = append(out.Conns, connOf(&list[i]))
		}
	}
	return r.answer(http.StatusOK, out)
}

// filter reads the conditions in the query.
func (r *request) filter() (*Filter, error) {
	f := &Filter{}
	for _, word := range FilterWords {
		if values := r.query[word]; values != nil {
			if err := f.add(word, values[0]); err != nil {
				return nil, badRequest("%v", err)
			}
		}
	}
	return f, nil
}

// conn describes one.
func (s *Server) conn(r *request) error {
	d, ok := s.Relay.Conn(r.PathValue("id"))
	if !ok {
		return noConn(r.PathValue("id"))
	}
	return r.answer(http.StatusOK, detailOf(&d))
}

// noConn is that none has that id: it has ended, or never was.
func noConn(id string) *Error {
	return fail(http.StatusNotFound, "no_such_conn", "there is no conn %q", id)
}

// resources lists all of the process.
func (s *Server) resources(r *request) error {
	only := false
	switch v := r.query.Get("orphans"); v {
	case "", "false":
	case "true":
		only = true
	default:
		return badRequest("parameter orphans=%s: it is true or false", v)
	}
	list := lifetime.Snapshot(nil)
	out := Resources{}
	for i := range list {
		if isOrphan(&list[i]) {
			out.Orphans++
		} else if only {
			continue
		}
		out.Resources = append(out.Resources, resourceOf(&list[i]))
	}
	if out.Resources == nil {
		out.Resources = []Resource{}
	}
	slices.SortStableFunc(out.Resources, orphansFirst)
	return r.answer(http.StatusOK, out)
}

func orphansFirst(a, b Resource) int {
	switch {
	case a.Orphan == b.Orphan:
		return 0
	case a.Orphan:
		return -1
	}
	return 1
}
