// Package relay accepts connections, connects each to an upstream, and moves
// bytes both ways through chains of stages.
//
//	     client                                              upstream
//	       │ accept                                        dial │
//	socket.Listener ─► client Socket           upstream Socket ◄┘
//	                     │       │               │        │
//	                 ReadHalf WriteHalf      WriteHalf ReadHalf
//	                     │       ▲               ▲        │
//	       pump up:      └───────│──► chain up ──┘        │
//	       pump down:            └────── chain down ◄─────┘
//
// A conn is one relayed connection: two sockets and two pumps, below one
// [Server] in the lifetime tree. Up is from client to upstream, down is from
// upstream to client.
//
// Each direction runs to its own end. When one side finishes, its FIN is passed
// on after the last byte, and the other direction goes on. An error cuts the
// conn: a reset is passed on as a reset, after the bytes that came before it
// have been acknowledged, or 2s without. Every conn ends with one [Reason] and
// one log line.
//
// [Server.Drain] ends a server: it stops accepting, waits for the live conns,
// and when its context ends shuts them down.
package relay
