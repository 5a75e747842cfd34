package metrics

import (
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"relayd/lifetime"
	"relayd/relay"
	"relayd/socket"
)

// A collector reads the figures of a relay at each scrape.
type collector struct {
	s       *relay.Server
	census  *socket.Census // nil: nobody can tell
	created time.Time      // since when it counts

	reloads func() Reloads // nil: there are none

	mu      sync.Mutex
	kinds   map[string]bool // of resources, that have ever been shown
	targets map[targetName]*targetCount
}

func newCollector(s *relay.Server, census *socket.Census, reloads func() Reloads) *collector {
	return &collector{s: s, census: census, reloads: reloads, created: time.Now(), kinds: make(map[string]bool)}
}

// desc describes a metric of the relay.
func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("relayd_"+name, help, labels, nil)
}

// The metrics.
var (
	conns = desc("conns", "Conns that live, by the listener that accepted them and by how far they have come.",
		"listener", "state")
	accepted  = desc("conns_accepted_total", "Connections accepted that became conns.")
	refused   = desc("conns_refused_total", "Connections accepted and reset at once, by reason.", "reason")
	ended     = desc("conns_ended_total", "Conns that have ended, by reason and by who closed first.", "reason", "first_closer")
	truncated = desc("conns_truncated_total", "Conns that have ended with bytes lost.")
	moved     = desc("bytes_total", "Bytes moved: up is from client to upstream, in is what was read, and out what was written.",
		"direction", "point")
	lost   = desc("lost_bytes_total", "Bytes that were read, and not delivered.", "direction")
	staged = desc("stage_bytes_total", "Bytes through stages, by the name of the stage: in is what they took, out what they gave.",
		"direction", "stage", "point")
	flushed = desc("stage_last_output_timestamp_seconds", "When a stage of that name last gave bytes, in seconds since 1970; none if it never has.",
		"direction", "stage")
	unlogged = desc("log_lines_left_out_total", "Lines about conns that the log was spared.")
	draining = desc("draining", "1 when no connection is accepted any more, 0 before.")

	dial     = desc("dial_duration_seconds", "How long dialling the upstream took, where it succeeded.")
	duration = desc("conn_duration_seconds", "How long conns lived that have ended.")
	shutdown = desc("shutdown_duration_seconds", "How long conns that were killed took until everything was released.")

	resources = desc("resources", "Resources that are not released: sockets, halves, stages and what is above them.",
		"kind", "state")
	orphans = desc("resource_orphans",
		"Live resources whose owner has dropped them, and that children hold. The process of an exec: address is one by design.", "kind")
	drops = desc("drops_total", "Drops of resources, by what the drop policy has made of them.", "outcome")
	stray = desc("sockets_unaccounted", "Open sockets that no resource answers for, in two looks running. It should be 0.")
)

// Bounds of classic buckets: from 1 ms to 16 s, from 16 ms to 3 days, and from
// a quarter of a millisecond to 4 s.
var (
	dialPowers     = powers{-10, 4, 1}
	durationPowers = powers{-6, 18, 2}
	shutdownPowers = powers{-12, 2, 1}
)

// Describe names all metrics of the relay.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		conns, accepted, refused, ended, truncated, moved, lost, staged, flushed, unlogged, draining,
		dial, duration, shutdown, resources, orphans, drops, stray, reloads, reloadTime, reloadOK,
	} {
		to <- d
	}
	for _, d := range upstreamDescs {
		to <- d
	}
}

// Collect reads them.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	c.collectConns(to)
	c.collectStats(to)
	c.collectUpstreams(to)
	c.collectReloads(to)
	c.collectResources(to)
	if c.census == nil {
		return
	}
	strays, err := c.census.Strays()
	if err != nil {
		to <- prometheus.NewInvalidMetric(stray, err)
		return
	}
	gauge(to, stray, float64(len(strays)))
}

// send sends a metric, or why there is none: a label that is not UTF-8 must not
// take the process down.
func send(to chan<- prometheus.Metric, d *prometheus.Desc, t prometheus.ValueType, v float64, labels []string) {
	for i := range labels {
		labels[i] = strings.ToValidUTF8(labels[i], "\uFFFD")
	}
	m, err := prometheus.NewConstMetric(d, t, v, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(d, err)
	}
	to <- m
}

func gauge(to chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	send(to, d, prometheus.GaugeValue, v, labels)
}

func counter(to chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	send(to, d, prometheus.CounterValue, v, labels)
}

// collectConns counts conns by listener and state, those that there are none of,
// too.
func (c *collector) collectConns(to chan<- prometheus.Metric) {
	type class struct {
		listener string
		state    relay.ConnState
	}
	count := make(map[class]int)
	for _, a := range c.s.Listeners() {
		for _, s := range []relay.ConnState{relay.Opening, relay.Dialling, relay.Open, relay.HalfOpen, relay.Lingering, relay.ShutDown} {
			count[class{a.Name, s}] = 0
		}
	}
	for _, i := range c.s.Conns() {
		count[class{i.Listener, i.State}]++
	}
	for k, n := range count {
		gauge(to, conns, float64(n), k.listener, string(k.state))
	}
	isDraining := 0.0
	if c.s.Draining() {
		isDraining = 1
	}
	gauge(to, draining, isDraining)
}

// collectStats shows the server's figures.
func (c *collector) collectStats(to chan<- prometheus.Metric) {
	st := c.s.Stats()
	counter(to, accepted, float64(st.Accepted))
	for reason, n := range st.Refused {
		counter(to, refused, float64(n), reason)
	}
	for end, n := range allEnds(st.Ended) {
		counter(to, ended, float64(n), end.Reason.String(), end.First.String())
	}
	counter(to, truncated, float64(st.Truncated))
	counter(to, moved, float64(st.Moved.UpIn), "up", "in")
	counter(to, moved, float64(st.Moved.UpOut), "up", "out")
	counter(to, moved, float64(st.Moved.DownIn), "down", "in")
	counter(to, moved, float64(st.Moved.DownOut), "down", "out")
	counter(to, lost, float64(st.LostUp), "up")
	counter(to, lost, float64(st.LostDown), "down")
	for of, n := range st.Stages {
		counter(to, staged, float64(n.In), of.Direction, of.Stage, "in")
		counter(to, staged, float64(n.Out), of.Direction, of.Stage, "out")
		if !n.Last.IsZero() {
			gauge(to, flushed, float64(n.Last.UnixMilli())/1000, of.Direction, of.Stage)
		}
	}
	counter(to, unlogged, float64(st.Unlogged))
	to <- newHistogram(dial, st.Dial, dialPowers, c.created)
	to <- newHistogram(duration, st.Duration, durationPowers, c.created)
	to <- newHistogram(shutdown, st.Cut, shutdownPowers, c.created)
}

// allEnds adds to the ends that there were those that there were none of: a
// series that begins at 1 hides its first event from rate and increase.
func allEnds(seen map[relay.End]int64) map[relay.End]int64 {
	all := make(map[relay.End]int64)
	for r := relay.EOF; r <= relay.Killed; r++ {
		for side := relay.Client; side <= relay.Us; side++ {
			all[relay.End{Reason: r, First: side}] = 0
		}
	}
	for end, n := range seen {
		all[end] = n
	}
	return all
}

// collectResources counts what lives in the process, and what drops have come
// to. A kind that has been an orphan once is shown as 0 afterwards: what vanishes
// does not say that it is mended.
func (c *collector) collectResources(to chan<- prometheus.Metric) {
	type class struct {
		kind  string
		state lifetime.State
	}
	all := make(map[class]int)
	lonely := make(map[string]int)
	c.mu.Lock()
	for kind := range c.kinds {
		lonely[kind] = 0
	}
	for t, n := range lifetime.Tally(nil) {
		c.kinds[t.Kind] = true
		all[class{t.Kind, t.State}] += n
		if t.State == lifetime.Live && !t.Owned {
			lonely[t.Kind] += n
		} else {
			lonely[t.Kind] += 0
		}
	}
	c.mu.Unlock()
	for c, n := range all {
		gauge(to, resources, float64(n), c.kind, c.state.String())
	}
	for kind, n := range lonely {
		gauge(to, orphans, float64(n), kind)
	}
	for o, n := range lifetime.Drops() {
		counter(to, drops, float64(n), o.String())
	}
}
