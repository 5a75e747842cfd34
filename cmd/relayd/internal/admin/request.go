package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"relayd/cmd/relayd/internal/screen"
)

// Limits of a request.
const (
	maxBody   = 1 << 20          // of a request: a kill may name many
	readTime  = 10 * time.Second // for a body
	writeTime = 30 * time.Second // for an answer, or for a piece of a long one
)

// A request is one under way.
type request struct {
	*http.Request
	w     http.ResponseWriter
	query url.Values
	text  []byte // the body as it came
	body  any    // a pointer to what the endpoint reads
	to    *http.ResponseController
	leave func() // gives back the slot, once

	writeTime time.Duration
}

func (s *Server) request(w http.ResponseWriter, r *http.Request) *request {
	return &request{Request: r, w: w, to: http.NewResponseController(w), leave: func() {}, writeTime: s.writeTime}
}

// An Error is what a request is answered with that came to nothing.
type Error struct {
	Status  int    `json:"-"`
	Code    string `json:"code"` // a word for programs
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func (e *Error) Error() string { return e.Message }

// An envelope is an Error on the wire.
type envelope struct {
	Error *Error `json:"error"`
}

func fail(status int, code, format string, args ...any) *Error {
	return &Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) *Error {
	return fail(http.StatusBadRequest, "bad_request", format, args...)
}

// anyParams stands for parameters that somebody else looks at.
var anyParams = []string{"*"}

// A handler serves an endpoint at a listener.
type handler struct {
	s *Server
	l *listener
	e endpoint
}

func (h *handler) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	r := h.s.request(w, hr)
	if err := h.serve(r); err != nil {
		h.s.refuse(r, err)
	}
}

// serve reads the request before it takes a slot: who sends slowly holds none.
func (h *handler) serve(r *request) error {
	if err := r.read(&h.e, h.s.readTime); err != nil {
		return err
	}
	leave, err := h.l.take(r, h.e.long != nil && h.e.long(r.Request))
	if err != nil {
		return err
	}
	r.leave = sync.OnceFunc(leave)
	defer r.leave()
	if err := r.decode(&h.e); err != nil {
		return err
	}
	return h.e.serve(h.s, r)
}

// bound gives a request its times, before anything is made of it: those for its
// body, which may never come, and for an answer that nobody may read. Without a
// body there is nothing to wait for: an answer that goes on is not to be cut.
func (r *request) bound(readTime time.Duration) {
	now := time.Now()
	if r.ContentLength != 0 {
		r.to.SetReadDeadline(now.Add(readTime))
	}
	r.to.SetWriteDeadline(now.Add(r.writeTime))
}

// read takes the request apart, as strictly as there is something to say.
func (r *request) read(e *endpoint, readTime time.Duration) (err error) {
	if r.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return badRequest("the query cannot be read: %v", err)
	}
	if !slices.Equal(e.params, anyParams) {
		for name, values := range r.query {
			switch {
			case e.method == "": // refused anyhow
			case len(e.params) == 0:
				return badRequest("%s takes no parameters, and %q is one", e.path, name)
			case !slices.Contains(e.params, name):
				return badRequest("unknown parameter %q: %s takes %s", name, e.path, strings.Join(e.params, ", "))
			case len(values) > 1:
				return badRequest("parameter %q is given %d times", name, len(values))
			}
		}
	}
	if e.body == nil {
		if r.ContentLength != 0 && e.method != "" {
			return badRequest("%s %s takes no body", e.method, e.path)
		}
		return nil
	}
	return r.readBody(readTime)
}

// readBody reads the body, all of it. Whoever sends slowly is not waited for:
// bound has seen to it; whoever waits for an answer may.
func (r *request) readBody(readTime time.Duration) error {
	if kind := r.Header.Get("Content-Type"); kind != "" {
		if is, _, err := mime.ParseMediaType(kind); err != nil || is != "application/json" {
			return fail(http.StatusUnsupportedMediaType, "not_json", "the body is %q: it is to be application/json", kind)
		}
	}
	text, err := io.ReadAll(http.MaxBytesReader(r.w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return fail(http.StatusRequestEntityTooLarge, "too_large", "the body has more than %d bytes", large.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fail(http.StatusRequestTimeout, "too_slow", "the body has not come within %v", readTime)
	case err != nil:
		return badRequest("the body cannot be read: %v", err)
	}
	r.to.SetReadDeadline(time.Time{})
	r.text = text
	return nil
}

// decode makes of the body what it is: JSON, and nothing after it. No body at all
// is the zero value.
func (r *request) decode(e *endpoint) error {
	if e.body == nil {
		return nil
	}
	r.body = reflect.New(reflect.TypeOf(e.body)).Interface()
	if len(bytes.TrimSpace(r.text)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(r.text))
	d.DisallowUnknownFields()
	if err := d.Decode(r.body); err != nil {
		return badRequest("the body is not what it is to be: %v", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); err != io.EOF {
		return badRequest("something follows the JSON of the body")
	}
	return nil
}

// answer writes v as JSON.
func (r *request) answer(status int, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	r.w.Header().Set("Content-Type", "application/json")
	r.w.Header().Set("Cache-Control", "no-store")
	r.w.WriteHeader(status)
	screen.EscapeJSON(r.w).Write(append(text, '\n')) // who has gone does not need it
	return nil
}

// flush sends what was written. Whoever does not take it in time is given up.
func (r *request) flush() error { return r.to.Flush() }

// Write writes a piece of a long answer, which has its own time.
func (r *request) Write(p []byte) (int, error) {
	r.to.SetWriteDeadline(time.Now().Add(r.writeTime))
	return r.w.Write(p)
}

// refuse answers with an error.
func (s *Server) refuse(r *request, err error) {
	var e *Error
	if !errors.As(err, &e) {
		s.log.Error("admin: a request has failed", "method", r.Method, "path", r.URL.Path, "err", err)
		e = fail(http.StatusInternalServerError, "failed", "%v", err)
	} else {
		s.log.Log(r.Context(), slog.LevelDebug, "admin: a request was refused", "method", r.Method, "path", r.URL.Path, "status", e.Status, "err", e)
	}
	r.answer(e.Status, envelope{e})
}
