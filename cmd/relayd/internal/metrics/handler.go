package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"relayd/relay"
	"relayd/socket"
)

// maxScrapes is how many scrapes may run at once; who comes in addition gets a
// 503.
const maxScrapes = 5

// Handler returns what /metrics serves: the figures of a relay, of the process
// and of the Go runtime, in the format that the scraper asks for. Native
// histograms go out in the protobuf format only. census may be nil, and then the
// sockets that are not accounted for are not shown; it should have begun before
// anything was opened, and know the listener that serves this. reloads may be nil,
// too.
func Handler(s *relay.Server, census *socket.Census, reloads func() Reloads) http.Handler {
	return promhttp.HandlerFor(registry(s, census, reloads), promhttp.HandlerOpts{
		// One figure that cannot be had does not hide the others.
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
		EnableOpenMetrics:   true,
	})
}

// registry returns all that is shown.
func registry(s *relay.Server, census *socket.Census, reloads func() Reloads) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		newCollector(s, census, reloads),
		buildInfo(),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}
