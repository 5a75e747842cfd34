package admin

import (
	"net/http"

	"relayd/transform"
)

// Routes is the answer to a question about all of them.
type Routes struct {
	Routes []RouteInfo `json:"routes"`
}

// A RouteInfo is a route, with the stages that conns go through that it accepts
// now.
type RouteInfo struct {
	Name      string   `json:"name"`
	Listeners []string `json:"listeners"`
	Upstream  string   `json:"upstream"`
	Up        []string `json:"up"`
	Down      []string `json:"down"`
	Conns     int      `json:"conns"` // that live
}

// routes lists them.
func (s *Server) routeList(r *request) error {
	return r.answer(http.StatusOK, Routes{[]RouteInfo{s.route(s.Relay.Chains())}})
}

// route describes the one that there is, with these chains.
func (s *Server) route(up, down transform.Chain) RouteInfo {
	i := RouteInfo{Name: Route, Upstream: s.Relay.To.String(), Up: texts(up), Down: texts(down), Conns: s.Relay.Live()}
	for _, a := range s.Relay.Addrs() {
		i.Listeners = append(i.Listeners, a.String())
	}
	return i
}

// texts are the stages of a chain as they are written.
func texts(c transform.Chain) []string {
	list := make([]string, len(c))
	for i, s := range c {
		list[i] = s.String()
	}
	return list
}
