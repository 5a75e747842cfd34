package admin

import (
	"net/http"
	"slices"
	"strings"

	"relayd/relay"
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
	Listeners []string `json:"listeners"` // by name
	Upstream  string   `json:"upstream"`  // the address of its one target, or its name
	Pool      string   `json:"pool"`      // its name
	Up        []string `json:"up"`
	Down      []string `json:"down"`
	Conns     int      `json:"conns"` // that live
}

// routes lists them.
func (s *Server) routeList(r *request) error {
	out := Routes{Routes: []RouteInfo{}}
	for _, i := range s.Relay.Routes() {
		out.Routes = append(out.Routes, routeOf(&i))
	}
	return r.answer(http.StatusOK, out)
}

func routeOf(i *relay.RouteInfo) RouteInfo {
	listeners := i.Listeners
	if listeners == nil {
		listeners = []string{}
	}
	return RouteInfo{
		Name: i.Name, Listeners: listeners, Upstream: i.To, Pool: i.Upstream, Up: texts(i.Up), Down: texts(i.Down), Conns: i.Conns,
	}
}

// route describes one.
func (s *Server) route(name string) (relay.RouteInfo, error) {
	list := s.Relay.Routes()
	names := make([]string, len(list))
	for i := range list {
		if list[i].Name == name {
			return list[i], nil
		}
		names[i] = list[i].Name
	}
	return relay.RouteInfo{}, badRequest("there is no route %q: there is %s", name, strings.Join(names, ", "))
}

// knows returns nil, or that a filter asks for a route that there is not, and that
// no conn of before a reload has.
func (s *Server) knows(f *Filter, conns []relay.ConnInfo) error {
	if f == nil || f.words["route"] == "" {
		return nil
	}
	name := f.words["route"]
	if slices.ContainsFunc(conns, func(c relay.ConnInfo) bool { return c.Route == name }) {
		return nil
	}
	if _, err := s.route(name); err != nil {
		return badRequest("filter route=%s: no such route: %v", name, err)
	}
	return nil
}

// texts are the stages of a chain as they are written.
func texts(c transform.Chain) []string {
	list := make([]string, len(c))
	for i, s := range c {
		list[i] = s.String()
	}
	return list
}
