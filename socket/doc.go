// Package socket gives stream sockets the lifetimes of package lifetime.
//
// A [Socket] is a parent resource: it owns the connection. Its [ReadHalf] and
// its [WriteHalf] are its children, handed out once each, and whoever has one
// needs nothing else: the socket may be dropped at once, in any order, and the
// connection stays open for as long as a half of it lives.
//
//	         Listener.Accept / Dial
//	                  │
//	               Socket ─── owns the connection
//	              ╱      ╲
//	Receive: ReadHalf   WriteHalf :Send
//
// Dropping the write half sends FIN after what was written; the read half goes
// on. When the last of the three is dropped and the peer has not finished, the
// socket drains: what the peer still sends is read and thrown away until its
// FIN or a deadline, because closing with unread bytes would reset the
// connection and destroy what the peer was still to get. A shutdown, of the
// socket or of anything above it, wakes every operation and resets the
// connection.
//
// A read returns io.EOF when the peer has finished, and for no other reason.
// Errors of this package are [*Error]; those that mean "closed on our side"
// satisfy errors.Is(err, net.ErrClosed).
//
// # Prefaces
//
// Some connections begin with something that is not for who reads the stream, or
// that tells who that is: [Socket.Preface] reads it before the read half is handed
// out, and gives back what it does not consume. That was received, and is not read
// yet: the half is ready, begins with it, and a drain throws it away.
//
// # Two ways of waiting
//
// A connection of the system's has one way of waiting at a time, and the halves
// do not show which:
//
//	           ReadHalf, WriteHalf, Socket: one tree, one set of promises
//	                                │
//	                         kernelTransport: the descriptor
//	                          ╱             ╲
//	parked: on the runtime's poller     loose: a bare descriptor, which
//	Read, Write and Copy wait as        a Loop watches with epoll(7); a
//	goroutines                          Loop.Copy is a flow: a few words
//	                                    in the read half, and no goroutine
//
// A flow is one operation inside both halves, from Loop.Copy to its end, just as
// a Read or a Write is. So all that ends those ends it (a drop, a shutdown, a
// trap, a parent that closes), and the descriptor is closed when it has left,
// and not before. Both ways move bytes by the same mover, which copies small
// messages and splices bulk. A copy that was asked to [ReadHalf.Yield] ends
// between two moves; the next one, on either side, begins with what it held.
//
// What belongs to a loop is touched on its goroutine only. Others post to the
// loop's inbox, or take the transport's lock, under which the descriptor changes
// its way of waiting.
//
// # TLS
//
// A socket of the kind tls is TLS over a TCP connection, and behaves like the
// others. Its FIN is a close_notify with a FIN after it, and a FIN alone is
// [ErrNoCloseNotify]: nobody on the way can end a stream. Its reset is TCP's, and
// says no close_notify. What goes through it is encrypted and decrypted by who
// writes and reads, so it is for goroutines, and no loop copies it.
//
// [Socket.Handshake] does the handshake of a socket that was accepted: accepting
// does not wait for it. Certificates and keys are files that an address names, and
// are read again when they change; see [ReloadCertificates]. There are no session
// tickets and no early data. The ends of a tunnel may know each other by keys
// alone: see [Address.Tunnel].
//
// # Addresses
//
// One address grammar serves listening and dialling; see [Address]. Sockets of
// the kinds echo and discard are made of memory, and behave like the others. A
// socket of the kind exec is a program, which stands above it in the tree, is
// held by it, and ends with it; see package lifetime/process.
// This package is the only one here that makes system calls on file
// descriptors, and no descriptor leaves it.
package socket
