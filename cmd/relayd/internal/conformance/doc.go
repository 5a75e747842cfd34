// Package conformance runs the drop-order matrix: for each order in which a
// connection's parent and its halves can be dropped, used, shut down and lost,
// what each of the four drop policies makes of it.
//
// A row is a sequence of events. A column is a policy, or a shutdown wherever
// the row stands. A kind is what the row runs over: a model connection that has
// nothing but package lifetime behind it, or a real socket of the loopback
// interface. Each cell runs for real and is ok, or says what differed; a cell
// that cannot be is n/a, with the reason, and never ok.
//
// Most rows are scripts: data that says, for each event and policy, what comes
// of it (see step). They are played by scenes. The shutdown column of a script
// shuts down after every one of its steps, under every policy. The other rows
// are code: they race, count bytes, or break something.
package conformance
