// A row is a kind of load to measure each relay under.

package main

import (
	"fmt"
	"os/exec"
	"slices"
	"time"
)

// A kind is what is counted in a row.
type kind int

const (
	byBytes  kind = iota // GB/s
	byOps                // ops/s
	byMemory             // kB and descriptors for each connection
)

type row struct {
	name, title string
	kind        kind
	job         job   // without its address and times
	crowd       bool  // so many connections that opening them takes its time
	fickle      bool  // it depends on which core the kernel starts whom
	missing     error // why it cannot be run, if so

	// beside is a load that runs at the same time, by a route of its own. Its
	// figures are not taken, its bytes are verified.
	beside *job
	// command is how relayd is started for a row that only it runs, beside
	// direct. Nil for the others.
	command func(r route) (*exec.Cmd, error)
	// own are the relays that only this row has, instead of the others, beside
	// direct. None for most.
	own []peer
}

// pieces and sizes.
const (
	small  = 64
	medium = 16 << 10
	large  = 256 << 10
	mega   = 1 << 20
)

// rows returns all rows, in their order.
func (t toolbox) rows() []row {
	list := []row{
		{name: "bulk1-up", title: "one stream, from the client", kind: byBytes, job: job{Kind: "send", Conns: 1}},
		{name: "bulk1-down", title: "one stream, to the client", kind: byBytes, job: job{Kind: "receive", Conns: 1}},
		{name: "bulk8-up", title: "eight streams, from the client", kind: byBytes, job: job{Kind: "send", Conns: 8}},
		{name: "bulk8-down", title: "eight streams, to the client", kind: byBytes, job: job{Kind: "receive", Conns: 8}},
		{name: "rr1", title: "a request and its answer of 64 B, one connection", kind: byOps, fickle: true, job: job{Kind: "ask", Conns: 1, Size: small}},
		{name: "rr50", title: "a request and its answer of 64 B, 50 connections", kind: byOps, job: job{Kind: "ask", Conns: 50, Size: small}},
		{name: "rr50-16k", title: "a request and its answer of 16 KiB, 50 connections", kind: byOps, job: job{Kind: "ask", Conns: 50, Size: medium}},
		{name: "rr8-256k", title: "a request and its answer of 256 KiB, 8 connections", kind: byOps, job: job{Kind: "ask", Conns: 8, Size: large}},
		{name: "crr1", title: "connect, request, answer, close: one at a time", kind: byOps, job: job{Kind: "visit", Conns: 1, Size: small}},
		{name: "crr50", title: "connect, request, answer, close: 50 at a time", kind: byOps, job: job{Kind: "visit", Conns: 50, Size: small}},
	}
	for _, n := range []int{100, 1000, 5000} {
		list = append(list, row{
			name:  fmt.Sprintf("active%d", n),
			title: fmt.Sprintf("a request and its answer of 64 B, %d connections", n),
			kind:  byOps,
			job:   job{Kind: "ask", Conns: n, Size: small, Openers: 64},
			crowd: true,
		})
	}
	return append(list,
		row{
			name: "idle5000", title: "5,000 idle connections", kind: byMemory, crowd: true,
			job: job{Kind: "hold", Conns: 5000, Size: small, Openers: 64},
		},
		row{
			name: "idle500-moved", title: "500 idle connections after 1 MiB each way", kind: byMemory, crowd: true,
			job: job{Kind: "hold", Conns: 500, Size: mega, Openers: 8},
		},
		row{
			name: "staged", title: "a request and its answer of 64 B through gzip and gunzip, beside bulk without", kind: byOps,
			job: job{Kind: "ask", Conns: 1, Size: small}, beside: &job{Kind: "send", Conns: 1}, command: stagedCommand,
		},
		row{
			name: "tunnel", title: "a request and its answer of 64 B through a pair, plain and with each codec", kind: byOps, fickle: true,
			job: job{Kind: "ask", Conns: 1, Size: small}, own: t.pairs(),
		},
	)
}

// peers returns the relays that the row has: those, or its own and direct.
func (r row) peers(all []peer) []peer {
	if r.own == nil {
		return all
	}
	isDirect := func(p peer) bool { return p.name == peerDirect }
	if i := slices.IndexFunc(all, isDirect); i >= 0 {
		return append([]peer{all[i]}, r.own...)
	}
	return r.own
}

// files is how many descriptors a relay needs at least.
func (r row) files() int { return 2*r.job.Conns + 100 }

// limit is how long a measurement may take before the relay has failed.
func (r row) limit(o options) time.Duration {
	limit := o.measure + o.warm() + o.patience
	if r.job.Conns >= 1000 {
		limit += 2 * o.patience
	}
	return limit
}

// rounds is how often the row is measured. In a hurry that is once for a crowd:
// memory hardly varies, and thousands of connections take long to open.
func (r row) rounds(o options) int {
	switch {
	case o.quick && r.crowd:
		return 1
	case !o.quick && r.fickle:
		return o.rounds * pieces
	}
	return o.rounds
}

// measure is how long the row is measured each time.
func (r row) measure(o options) time.Duration {
	if !o.quick && r.fickle {
		return o.measure / pieces
	}
	return o.measure
}

// pieces are what a fickle row is cut into, so that its median is one of many.
const pieces = 3
