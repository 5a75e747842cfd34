package config

// A Route is what happens to a conn between its listener and its upstream.
type Route struct {
	Name string

	Upstream  Name      `key:"upstream" required:"true" example:"default" doc:"where conns lead"`
	Up        []Stages  `key:"up" example:"[count]" doc:"stages for what the client sends; relayd stages has them"`
	Down      []Stages  `key:"down" example:"['gzip:level=9']" doc:"stages for what the upstream sends"`
	Wrap      []Stages  `key:"wrap" example:"[zstd]" doc:"be the near end of a tunnel: encode up and decode down"`
	Unwrap    []Stages  `key:"unwrap" example:"[zstd]" doc:"be the far end of the tunnel that wrap makes; one of the two"`
	At        Word      `key:"at" default:"plain" words:"plain,wire" doc:"the side of the tunnel on which the stages of up and down stand"`
	Timeouts  Timeouts  `key:"timeouts" inherit:"timeouts" doc:"what conns may wait for; what is not given is as in timeouts at the top"`
	SendProxy Word      `key:"send-proxy" default:"off" words:"off,v1,v2,v2-tlv" doc:"tell the upstream who the client is, with a PROXY header"`
	OnRemove  Word      `key:"on-remove" default:"keep" words:"keep,drain,kill" doc:"conns of a route that a reload takes away go on, go on within the drain's time, or end"`
	Bandwidth Bandwidth `key:"bandwidth" doc:"how many bytes a second are taken from either side; 0 or off is no limit; the stage limit is more exact"`
}

// Bandwidth bounds the bytes of conns.
type Bandwidth struct {
	Conn   Rates `key:"conn" doc:"of each conn"`
	Source Rates `key:"source" doc:"of all conns from one client address"`
	Route  Rates `key:"route" doc:"of all conns of the route together"`
}

// Rates are bytes a second, each way.
type Rates struct {
	Up   Size `key:"up" default:"off" doc:"from client to upstream"`
	Down Size `key:"down" default:"off" doc:"from upstream to client"`
}
