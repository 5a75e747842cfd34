// Package admin is the admin API: relayd's own, by which its commands and its
// operators see what it does, and stop it. It is HTTP with JSON, on a Unix socket
// that only its owner may use, and nothing here needs more than curl:
//
//	curl --unix-socket /run/relayd.sock http://relayd/v1/conns?state=half-closed
//
// A [Server] answers, a [Client] asks, and the types between them are the ones of
// types.go. openapi.yaml is the reference; /v1/openapi.yaml serves it, and a test
// holds it against the handlers.
//
// GET reads; only POST and DELETE change something. A socket for watchers
// ([Listen.View]) answers GET alone, and nothing that shows what conns carry or
// what memory holds. Over TCP every request needs a bearer token.
//
// Input is strict: a parameter or a key that is not known, a value that is none
// of its kind, a body that is too large or too slow is an error that says so.
// Answers are snapshots: none of them stops a conn, however slowly it is read. Nor
// does who asks slowly, or does not read, keep others from asking: what a listener
// has under way is bounded, and such a one makes room.
package admin
