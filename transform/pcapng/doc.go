// Package pcapng writes what a relay moves as a capture file, the way tcpdump
// would have seen it: each conn is one TCP stream from client to upstream, with
// handshake, sequence and acknowledgement numbers, checksums, and FIN or RST at
// its end. Wireshark and tshark follow it in both directions.
//
// Nothing of that was on a wire. What a relay knows is which bytes passed, in
// which direction, and when; the packets around them are made up:
//
//	client ── SYN, data, FIN ──► upstream     Up
//	client ◄── SYN, data, FIN ── upstream     Down
//
// The packets begin with the IP header (link type RAW). A segment holds what one
// Write was given, up to 64 KiB; every byte is acknowledged, and none is lost or
// sent again.
//
// # Addresses
//
// The addresses are those of the client and the upstream, as if the client had
// connected to the upstream itself. A side without an IP address (a Unix socket,
// a program) gets an invented one from the blocks for documentation: 192.0.2.1
// for a client and 192.0.2.2 for an upstream, or 2001:db8::1 and 2001:db8::2
// where the other side has an IPv6 address. A client's invented port is counted
// up from 1024 for each conn, an upstream's is 1. An IPv4 address opposite an
// IPv6 one is written as ::ffff:a.b.c.d. Of two conns with the same addresses at
// the same time the second has an invented client. The true names stand in a comment at the
// stream's first packet.
//
// # The file
//
// A Writer begins a section of its own (pcapng files may hold several), so a file
// can be continued later, or by another process at the same time: see [Append].
// Each block is one write. A process that is killed leaves a file that reads to
// its last whole block.
package pcapng
