// Package chaos holds a test that drives the relay with everything that goes
// wrong at once, and checks all the time that its promises hold.
//
//	go test ./tests/chaos                                  # about ten seconds of it
//	go test ./tests/chaos -race -duration 1h -timeout 2h
//	go test ./tests/chaos -seed 123456789 -episodes 1      # one that failed
//
// # The model
//
// An episode is a relay with settings of its own, clients, upstreams and
// troubles, all drawn from one seed. The clients and the upstreams are the cast,
// and play in a process of their own, so that the relay's descriptors,
// goroutines and memory are the relay's alone:
//
//	 test process                          cast process
//	┌──────────────────────────────┐      ┌───────────────────┐
//	│ relay  ◄─ troubles, auditor  │ ◄─── │ clients           │
//	│   │                          │ ───► │ upstreams         │
//	│   └─► log: how each conn     │      │   └─► calls: what │
//	│       ended                  │      │       each side   │
//	└───────────────┬──────────────┘      │       saw         │
//	                └──── compared ───────┴───────────────────┘
//
// Every byte has a value that depends on its call, its direction and its place,
// so that one that is lost, doubled or out of order shows. Every client has an
// address of its own in 127.0.0.0/8, or one that its PROXY header names, by which
// its call is found in the log. Who comes by a Unix socket without such a header
// has none: those calls are held against those ends as a whole.
//
// # What is played
//
// One of three episodes is plain: one route to one target, by one listener or two.
// The others have three upstreams of one to three targets (TCP, TLS or Unix, with
// balances, checks, retries, ejection, queues, slow starts and bounds), a route to
// each, and listeners that choose among them by what they are or by SNI: of TCP,
// of TLS that ends there or goes through, of Unix sockets, with PROXY headers and
// without, with bounds by listener and by source. One listener, the gate, has a route
// of its own, and comes and goes with it, in any way that a route can be removed.
//
//   - Peers half-close, reset, stall with a window of zero, trickle, vanish without
//     a FIN, say nothing, stop reading; they end TLS without a close_notify; and
//     where a preface is due they send garbage, half of one, a lie, or none.
//   - Upstreams reset what they accept, and go away for a time and come back.
//   - Troubles are what is done to the relay: see the table in trouble_test.go. Two
//     take from it what the system has: all descriptors (RLIMIT_NOFILE), and all
//     pages for pipes (pipe-user-pages-soft, which binds nobody who has
//     CAP_SYS_RESOURCE: the test gives that up, see becomeOrdinary). A tee to
//     /dev/full has a full disk below it.
//
// The table that the test logs at its end says how often all of that was.
//
// # What must hold
//
//   - A byte that arrives is the one that was sent at its place.
//   - Who reads an end of the stream has all that the other side sent, and that
//     side has ended, or the conn's end says that it did not go well.
//   - Each connection that was accepted ends once, with a reason. What was not is
//     counted as refused, and no upstream has heard of it.
//   - With TLS only a close_notify is the end of a stream.
//   - A call comes to an upstream at most once, to one of its route's, and the PROXY
//     header there, and the log, name the client that it has. One without a good
//     preface, or without a route, comes nowhere.
//   - When all is over no target has a conn, and nobody waits for one.
//   - No socket of the process is without somebody who answers for it, and no
//     resource is an orphan for longer than what it owes may take.
//   - Goroutines and memory are bounded by the conns that live, and when the
//     relay has ended nothing is left: no goroutine, descriptor, resource or
//     child process.
//
// Errors that are planted in a relay, and in what is known of an episode, are found:
// planted_test.go.
//
// A seed determines what everybody sets out to do. When it happens is up to the
// scheduler, so that a seed that failed may have to be replayed some times.
package chaos
