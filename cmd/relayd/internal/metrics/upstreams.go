package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"relayd/relay/upstream"
)

// The metrics of routes, upstreams and their targets. Labels are names of the
// configuration: the addresses that a target's name has are summed up.
var (
	routed     = desc("route_conns", "Conns that live, by route.", "route")
	targetUp   = desc("upstream_target_up", "Addresses of a target that are up: 1 or 0, and more for a name that has several.", "upstream", "target")
	targetIn   = desc("upstream_target_conns", "Conns that a target has.", "upstream", "target")
	targetAll  = desc("upstream_target_conns_total", "Conns that a target was given.", "upstream", "target")
	targetBad  = desc("upstream_target_dial_failures_total", "Dials of a target that failed.", "upstream", "target")
	targetRST  = desc("upstream_target_resets_total", "Conns that a target has reset before it sent a byte.", "upstream", "target")
	checkTime  = desc("upstream_target_check_duration_seconds", "How long the last check of a target took, of its slowest address; 0 if there are none.", "upstream", "target")
	ejections  = desc("upstream_ejections_total", "Addresses that were ejected because dials failed.", "upstream")
	retries    = desc("upstream_retries_total", "Dials after one that failed.", "upstream")
	queued     = desc("upstream_queue_length", "Conns that wait for a target.", "upstream")
	queueTimes = desc("upstream_queue_timeouts_total", "Conns that have waited in vain.", "upstream")
	turnedAway = desc("upstream_refused_total", "Conns that found no target up, or the queue full.", "upstream", "reason")
)

var upstreamDescs = []*prometheus.Desc{
	routed, targetUp, targetIn, targetAll, targetBad, targetRST, checkTime, ejections, retries, queued, queueTimes, turnedAway,
}

// A targetName is a target of an upstream.
type targetName struct{ upstream, target string }

// A targetCount is what a target has come to, over all the addresses that it has
// had: those that have gone are not forgotten, since a counter must not fall.
type targetCount struct {
	upstream.Counts
	last map[string]upstream.Counts // by address, of those that there are
	gone upstream.Counts            // of those that there were
}

// add adds what has come since the last time.
func (t *targetCount) add(now map[string]upstream.Counts, gone upstream.Counts) {
	add := func(of func(*upstream.Counts) *uint64) {
		sum, known := of(&t.Counts), uint64(0) // known: of addresses that have gone since
		for at, last := range t.last {
			n := now[at]
			if was := *of(&last); *of(&n) < was { // it has gone, or begun anew
				known += was
			}
		}
		for at, n := range now {
			last := t.last[at]
			*sum += since(*of(&n), *of(&last))
		}
		if went := since(*of(&gone), *of(&t.gone)); went > known {
			*sum += went - known
		}
	}
	add(func(c *upstream.Counts) *uint64 { return &c.Total })
	add(func(c *upstream.Counts) *uint64 { return &c.Failures })
	add(func(c *upstream.Counts) *uint64 { return &c.Resets })
	t.last, t.gone = now, gone
}

// since returns by how much a count has grown, that may have begun anew.
func since(now, last uint64) uint64 {
	if now < last {
		return now
	}
	return now - last
}

// collectUpstreams shows routes and upstreams.
func (c *collector) collectUpstreams(to chan<- prometheus.Metric) {
	for _, r := range c.s.Routes() {
		gauge(to, routed, float64(r.Conns), r.Name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.s.Upstreams()
	known := make(map[targetName]*targetCount)
	for i := range list {
		c.collectUpstream(to, &list[i], known)
	}
	c.targets = known
}

// collectUpstream shows one upstream, and notes what its targets have come to.
func (c *collector) collectUpstream(to chan<- prometheus.Metric, u *upstream.Status, known map[targetName]*targetCount) {
	counter(to, ejections, float64(u.Ejections), u.Name)
	counter(to, retries, float64(u.Retries), u.Name)
	gauge(to, queued, float64(u.Queued), u.Name)
	counter(to, queueTimes, float64(u.QueueTimeouts), u.Name)
	counter(to, turnedAway, float64(u.RefusedFull), u.Name, "full")
	counter(to, turnedAway, float64(u.RefusedDown), u.Name, "down")
	gone := make(map[string]upstream.Counts)
	for _, n := range u.Names {
		gone[n.Target] = n.Gone
	}
	for name, members := range c.byTarget(u) {
		known[name] = c.collectTarget(to, name, members, gone[name.target])
	}
}

// byTarget sorts the members of an upstream. Targets without an address are there,
// too.
func (c *collector) byTarget(u *upstream.Status) map[targetName][]upstream.MemberStatus {
	all := make(map[targetName][]upstream.MemberStatus)
	for _, n := range u.Names {
		all[targetName{u.Name, n.Target}] = nil
	}
	for _, m := range u.Members {
		name := targetName{u.Name, m.Target}
		all[name] = append(all[name], m)
	}
	return all
}

// collectTarget shows one target.
func (c *collector) collectTarget(to chan<- prometheus.Metric, name targetName, members []upstream.MemberStatus, gone upstream.Counts) *targetCount {
	var up, conns float64
	var check time.Duration
	now := make(map[string]upstream.Counts)
	for i := range members {
		m := &members[i]
		if m.State == upstream.Up || m.State == upstream.Starting {
			up++
		}
		conns += float64(m.Conns)
		check = max(check, time.Duration(m.Check)*time.Microsecond)
		n := now[m.Address]
		now[m.Address] = n.Plus(upstream.Counts{Total: m.Total, Failures: m.Failures, Resets: m.Resets})
	}
	n := c.targets[name]
	if n == nil {
		n = new(targetCount)
	}
	n.add(now, gone)
	gauge(to, targetUp, up, name.upstream, name.target)
	gauge(to, targetIn, conns, name.upstream, name.target)
	gauge(to, checkTime, check.Seconds(), name.upstream, name.target)
	counter(to, targetAll, float64(n.Total), name.upstream, name.target)
	counter(to, targetBad, float64(n.Failures), name.upstream, name.target)
	counter(to, targetRST, float64(n.Resets), name.upstream, name.target)
	return n
}
