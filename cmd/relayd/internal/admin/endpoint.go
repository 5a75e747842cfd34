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
	// long reports whether an answer takes time: it goes on until somebody ends
	// it, or is dear. Nil: none does.
	long func(*http.Request) bool
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
		{method: "GET", path: "/v1/conns/{id}/tap", params: []string{"at"}, serve: (*Server).tap, long: always},
		{method: "GET", path: "/v1/routes", watch: true, serve: (*Server).routeList},
		{method: "GET", path: "/v1/upstreams", watch: true, serve: (*Server).upstreams},
		{method: "GET", path: "/v1/upstreams/{upstream}/targets/{target}", watch: true, serve: (*Server).target},
		{method: "POST", path: "/v1/upstreams/{upstream}/targets/{target}", body: TargetRequest{}, serve: (*Server).setTarget},
		{method: "POST", path: "/v1/reload", body: ReloadRequest{}, serve: (*Server).reload},
		{method: "POST", path: "/v1/stages", body: StagesRequest{}, serve: (*Server).stages},
		{method: "POST", path: "/v1/kill", body: KillRequest{}, serve: (*Server).kill},
		{method: "GET", path: "/v1/drain", watch: true, serve: (*Server).drainProgress, long: wantsEvents},
		{method: "POST", path: "/v1/drain", body: DrainRequest{}, serve: (*Server).drain},
		{method: "GET", path: "/v1/resources", watch: true, params: []string{"orphans"}, serve: (*Server).resources},
	}
}

// profiles answers what net/http/pprof does, with its own parameters.
func profiles(s *Server, r *request) error {
	w := piecewise{r.w, r}
	switch strings.TrimPrefix(r.URL.Path, pprofPath) {
	case "cmdline":
		pprof.Cmdline(w, r.Request)
	case "profile":
		pprof.Profile(w, r.Request)
	case "symbol":
		pprof.Symbol(w, r.Request)
	case "trace":
		pprof.Trace(w, r.Request)
	default:
		pprof.Index(w, r.Request)
	}
	return nil
}

const pprofPath = "/debug/pprof/"

func always(*http.Request) bool { return true }

// piecewise is a ResponseWriter of which each Write has its own time.
type piecewise struct {
	http.ResponseWriter
	r *request
}

func (w piecewise) Write(p []byte) (int, error) { return w.r.Write(p) }

// routes makes a handler of the endpoints that a listener may serve.
func (s *Server) routes(l *listener) http.Handler {
	mux := http.NewServeMux()
	allowed := make(map[string][]string) // methods, by path
	for _, e := range endpoints() {
		if l.View && !e.watch {
			continue
		}
		allowed[e.path] = append(allowed[e.path], e.method)
		mux.Handle(e.method+" "+e.path, &handler{s, l, e})
	}
	for path, methods := range allowed {
		mux.Handle(path, &handler{s, l, endpoint{path: path, serve: onlyMethods(methods)}})
	}
	if !l.View {
		mux.Handle("GET "+pprofPath, &handler{s, l, endpoint{params: anyParams, serve: profiles, long: always}})
	}
	mux.Handle("/", &handler{s, l, endpoint{params: anyParams, serve: notFound}})
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
