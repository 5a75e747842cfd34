package admin

import (
	"net/http"
	"net/http/pprof"
	"strings"
)

// An endpoint is a method of a path, and what it is given.
type endpoint struct {
	method, path string
	watch        bool     // also for watchers
	params       []string // of the query
	body         any      // a zero value of what it reads, nil for nothing
	serve        func(*Server, *request) error
}

// endpoints are all that there is, besides pprof.
func endpoints() []endpoint {
	conns := append([]string{}, FilterWords...)
	return []endpoint{
		{method: "GET", path: "/healthz", watch: true, serve: (*Server).health},
		{method: "GET", path: "/readyz", watch: true, serve: (*Server).ready},
		{method: "GET", path: "/metrics", watch: true, serve: (*Server).metrics},
		{method: "GET", path: "/v1/openapi.yaml", watch: true, serve: (*Server).openapi},
		{method: "GET", path: "/v1/conns", watch: true, params: conns, serve: (*Server).conns},
		{method: "GET", path: "/v1/conns/{id}", watch: true, serve: (*Server).conn},
		{method: "DELETE", path: "/v1/conns/{id}", params: []string{"how", "within"}, serve: (*Server).killOne},
		{method: "GET", path: "/v1/conns/{id}/tap", params: []string{"at"}, serve: (*Server).tap},
		{method: "GET", path: "/v1/routes", watch: true, serve: (*Server).routeList},
		{method: "POST", path: "/v1/stages", body: StagesRequest{}, serve: (*Server).stages},
		{method: "POST", path: "/v1/kill", body: KillRequest{}, serve: (*Server).kill},
		{method: "GET", path: "/v1/drain", watch: true, serve: (*Server).drainProgress},
		{method: "POST", path: "/v1/drain", body: DrainRequest{}, serve: (*Server).drain},
		{method: "GET", path: "/v1/resources", watch: true, params: []string{"orphans"}, serve: (*Server).resources},
	}
}

// profiles answers what net/http/pprof does, with its own parameters.
func profiles(s *Server, r *request) error {
	r.longLived()
	switch strings.TrimPrefix(r.URL.Path, "/debug/pprof/") {
	case "cmdline":
		pprof.Cmdline(r.w, r.Request)
	case "profile":
		pprof.Profile(r.w, r.Request)
	case "symbol":
		pprof.Symbol(r.w, r.Request)
	case "trace":
		pprof.Trace(r.w, r.Request)
	default:
		pprof.Index(r.w, r.Request)
	}
	return nil
}

// routes makes a handler of the endpoints that a listener may serve.
func (s *Server) routes(view bool) http.Handler {
	mux := http.NewServeMux()
	allowed := make(map[string][]string) // methods, by path
	for _, e := range endpoints() {
		if view && !e.watch {
			continue
		}
		allowed[e.path] = append(allowed[e.path], e.method)
		mux.Handle(e.method+" "+e.path, &handler{s, e})
	}
	for path, methods := range allowed {
		mux.Handle(path, &handler{s, endpoint{path: path, serve: onlyMethods(methods)}})
	}
	if !view {
		mux.Handle("GET /debug/pprof/", &handler{s, endpoint{params: anyParams, serve: profiles}})
	}
	mux.Handle("/", &handler{s, endpoint{params: anyParams, serve: notFound}})
	return mux
}

// onlyMethods refuses every method but those.
func onlyMethods(methods []string) func(*Server, *request) error {
	allow := strings.Join(methods, ", ")
	return func(_ *Server, r *request) error {
		r.w.Header().Set("Allow", allow)
		return fail(http.StatusMethodNotAllowed, "method_not_allowed", "%s is not for %s: it takes %s", r.Method, r.URL.Path, allow)
	}
}

func notFound(_ *Server, r *request) error {
	e := fail(http.StatusNotFound, "not_found", "there is no %s", r.URL.Path)
	e.Hint = "GET /v1/openapi.yaml says what there is; watchers and admins do not see the same"
	return e
}
