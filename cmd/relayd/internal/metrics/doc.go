// Package metrics shows a relay's figures to Prometheus.
//
// There is no second bookkeeping: whatever is shown is read, at the scrape, from
// where it stands anyhow, in the relay's figures and in the tree of resources. A
// scrape stops no conn, and several may run at once. With 5,000 conns one takes
// about 10 ms, most of it for the process's sockets (see [socket.Census]) and
// for the state of each conn.
//
// Labels have few values: the listeners' addresses, which the operator chose,
// and words of this program. Nothing that a peer sends is in one.
//
// grafana.json is a dashboard over these metrics.
package metrics
