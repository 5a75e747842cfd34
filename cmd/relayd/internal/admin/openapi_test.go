package admin

import (
	"bytes"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"relayd/relay/upstream"
)

func document(t testing.TB) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return doc
}

// The reference has the endpoints that there are, with their parameters and for
// whom they are, and no others.
func TestReferenceHasTheEndpoints(t *testing.T) {
	doc := document(t)
	documented := make(map[string]bool)
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			documented[method+" "+path] = true
		}
	}
	for _, e := range endpoints() {
		name := e.method + " " + e.path
		if !documented[name] {
			t.Errorf("%s is not in the reference", name)
			continue
		}
		delete(documented, name)
		item := doc.Paths.Value(e.path)
		o := item.GetOperation(e.method)
		var params []string
		for _, p := range append(slices.Clone(item.Parameters), o.Parameters...) {
			if p.Value.In == "query" {
				params = append(params, p.Value.Name)
			}
		}
		slices.Sort(params)
		if want := slices.Sorted(slices.Values(e.params)); !slices.Equal(params, want) {
			t.Errorf("%s has the parameters %v, and the reference says %v", name, want, params)
		}
		if watch, _ := o.Extensions["x-watch"].(bool); watch != e.watch {
			t.Errorf("%s: for watchers is %t, and the reference says %t", name, e.watch, watch)
		}
		if o.Responses.Value("403") == nil {
			t.Errorf("%s: the reference has no 403, which pages in browsers get", name)
		}
		if body := o.RequestBody != nil; body != (e.body != nil) {
			t.Errorf("%s: takes a body is %t, and the reference says %t", name, e.body != nil, body)
		}
	}
	for name := range documented {
		t.Errorf("%s is in the reference, and nowhere else", name)
	}
}

// The types have the keys that the reference gives them, and no others.
func TestReferenceHasTheTypes(t *testing.T) {
	schemas := document(t).Components.Schemas
	for _, v := range []any{Conns{}, Conn{}, Direction{}, ConnDetail{}, Socket{}, Resource{}, Resources{}, KillRequest{},
		Kills{}, Kill{}, Proof{}, DrainRequest{}, Drain{}, Health{},
		Flow{}, Routes{}, RouteInfo{}, StagesRequest{}, StagesChange{}, ConnChange{},
		ReloadRequest{}, Reload{}, Changes{}, Upstreams{}, upstream.Status{}, upstream.MemberStatus{}, upstream.NameStatus{}, upstream.Counts{},
		TargetRequest{}, TargetState{}} {
		kind := reflect.TypeOf(v)
		s := schemas[kind.Name()]
		if s == nil {
			t.Errorf("%s is not in the reference", kind.Name())
			continue
		}
		keys := keysOf(kind)
		for name := range s.Value.Properties {
			if _, ok := keys[name]; !ok {
				t.Errorf("%s has no key %q, and the reference has", kind.Name(), name)
			}
		}
		for name, optional := range keys {
			if s.Value.Properties[name] == nil {
				t.Errorf("%s has the key %q, and the reference has not", kind.Name(), name)
			}
			request := strings.HasSuffix(kind.Name(), "Request")
			if required := slices.Contains(s.Value.Required, name); required == optional && !request {
				t.Errorf("%s: that %q is always there is %t, and the reference says %t", kind.Name(), name, !optional, required)
			}
		}
	}
}

// keysOf returns the keys of a type in JSON, and whether they may be missing.
func keysOf(kind reflect.Type) map[string]bool {
	keys := make(map[string]bool)
	for i := range kind.NumField() {
		f := kind.Field(i)
		if f.Anonymous {
			for name, optional := range keysOf(f.Type) {
				keys[name] = optional
			}
			continue
		}
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		keys[name] = rest == "omitempty" || rest == "omitzero"
	}
	return keys
}

// A checked transport holds every answer against the reference.
type checked struct {
	t      testing.TB
	next   http.RoundTripper
	router routers.Router
	seen   map[string]bool // methods and paths, answered well
}

func check(t testing.TB, c *Client) *checked {
	t.Helper()
	doc := document(t)
	doc.Servers = nil
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	x := &checked{t, c.http.Transport, router, make(map[string]bool)}
	c.http.Transport = x
	return x
}

func (x *checked) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := x.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	route, params, err := x.router.FindRoute(r)
	if err != nil {
		x.t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		return answer, nil
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	answer.Body.Close()
	answer.Body = io.NopCloser(bytes.NewReader(body))
	in := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: answer.StatusCode, Header: answer.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, ExcludeResponseBody: !strings.Contains(answer.Header.Get("Content-Type"), "json") || strings.Contains(answer.Header.Get("Content-Type"), "jsonl")},
	}
	out.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(r.Context(), out); err != nil {
		x.t.Errorf("%s %s is answered with %d %s: %v", r.Method, r.URL.Path, answer.StatusCode, body, err)
	}
	if answer.StatusCode < 300 {
		x.seen[route.Method+" "+route.Path] = true
	}
	return answer, nil
}
