package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Reloads are what has become of attempts to read the configuration again.
type Reloads struct {
	Done, Failed int
	Last         time.Time // that was done; the start, if none was
	OK           bool      // the last one was done, or there was none
}

var (
	reloads    = desc("config_reloads_total", "Reloads of the configuration, by what has become of them: a bad file changes nothing.", "result")
	reloadTime = desc("config_last_reload_success_timestamp_seconds", "When the configuration in use was read, in seconds since 1970.")
	reloadOK   = desc("config_last_reload_successful", "0 when the last reload has failed, else 1.")
)

// collectReloads shows them.
func (c *collector) collectReloads(to chan<- prometheus.Metric) {
	r := Reloads{OK: true}
	if c.reloads != nil {
		r = c.reloads()
	}
	if r.Last.IsZero() {
		r.Last = c.created
	}
	counter(to, reloads, float64(r.Done), "done")
	counter(to, reloads, float64(r.Failed), "failed")
	gauge(to, reloadTime, float64(r.Last.UnixMilli())/1000)
	ok := 0.0
	if r.OK {
		ok = 1
	}
	gauge(to, reloadOK, ok)
}
