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
// [Listener]s accept, each for one [Route] or, by what a client of TLS asks for,
// for several; a route has the stages, the timeouts and the upstream, whose targets
// are package upstream's. A listener may refuse whom it does not know or has no
// room for: such a connection is reset, and counted by the reason. What comes
// before the bytes that are relayed, a PROXY header for one, is the conn's preface,
// which is read before anything is dialled. [Server.Reload] changes all of that
// while conns live.
//
// Where no stage is in the way, conns live on event loops ([Config.EventLoops]):
// a conn is accepted, dialled, relayed and ended there without a goroutine. With
// stages, or with sockets that are not the system's, each conn has two
// goroutines; a preface, a name to resolve, a queue to wait in and a second dial
// take one until the conn is connected. PERFORMANCE.md beside this file says what either costs.
//
// [Timeouts] bound what conns wait for; [Server.Conns], [Server.Conn] and
// [Server.Stats] say what they do, and [Server.Kill] and [Server.Finish] end one.
//
// [Server.Drain] ends a server: it stops accepting, waits for the live conns,
// and when its context ends shuts them down.
package relay
