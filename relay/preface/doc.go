// Package preface reads what a connection begins with when that tells who it is
// from, or where it is to go: the header of the PROXY protocol, which a proxy in
// front of us writes before the stream, and the ClientHello of TLS, which names
// the host that the client wants.
//
//	            ┌ PROXY header ┐┌──────────── the stream ────────────┐
//	connection: │ "PROXY TCP4… ││ ClientHello │ …                    │
//	            └──────────────┘└─────────────────────────────────────┘
//	              consumed,        looked at, and given back:
//	              if trusted       TLS is not ended here
//
// [Read] does all that a listener asks for; see [Options]. [ParseProxy] and
// [ParseHello] are its parsers. They are given all that has come so far, say
// whether that is enough, and their answer does not depend on how the bytes were
// cut on their way. [Header.Append] writes a header for the server behind us.
// [Match] tells which names and protocols a ClientHello is to have.
//
// # Who is believed
//
// A header can be made up by anybody, so a listener that expects them says from
// whom ([Options.ProxyFrom]). From there a header is wanted: a connection without
// one is refused, because who can choose to send none could also have the header
// of his choice believed. Every other source is taken for who it is, and not a byte
// of what it sends is looked at: what looks like a header is the stream's. (So does
// HAProxy with "expect-proxy layer4 if { src … }". A listener of nginx's with
// proxy_protocol wants a header from everybody: list 0.0.0.0/0 and ::/0, and let
// the listener's access list say who may connect.) The peers of a Unix socket are
// believed if anybody is: who they can be is the matter of the file's mode.
//
// # Bounds
//
// A header of version 1 has 107 bytes at most, as it is specified; one of version
// 2 [MaxProxy], as in nginx; and a ClientHello [MaxHello], its records' headers
// included, which is twice what nginx and HAProxy take. While they are waited for, a
// connection holds 2 KiB, and more only when more has come.
//
// Both parsers are our own. The headers' is because of what has to be told: a
// library that reads from a bufio.Reader refuses headers that come in two
// segments, and has one error for most lies. That of ClientHellos is because
// crypto/tls refuses some that a server behind us may take, such as a name with a
// final dot, and parses all again with each byte that comes. The tests hold them
// against go-proxyproto and crypto/tls.
package preface
