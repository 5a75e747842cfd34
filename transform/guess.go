package transform

// Guesses: what a stream is that no decoder here reads. They are made of what has
// come already, for the text of an error: nothing is waited for, and nothing else
// depends on them.

import (
	"bytes"
	"fmt"
	"slices"
)

const (
	maxGuess = 64 // how many bytes a guess looks at, at most
	maxShown = 10 // how many of them are shown: they may be somebody's secret
)

// A protocol is what a stream may look like by how it begins.
type protocol struct {
	name    string
	begins  []string
	foreign bool // it is a format of compressed streams
}

// protocols are told apart by their first bytes; the more there are, the
// better is the guess.
var protocols = []protocol{
	{"a TLS handshake", []string{"\x16\x03\x00", "\x16\x03\x01", "\x16\x03\x02", "\x16\x03\x03"}, false},
	{"SSH", []string{"SSH-2.0-", "SSH-1."}, false},
	{"HTTP/2", []string{"PRI * HTTP/2"}, false},
	{"an HTTP request", []string{"GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "CONNECT ", "OPTIONS ", "TRACE ", "PATCH "}, false},
	{"PostgreSQL", []string{"\x00\x00\x00\x08\x04\xd2\x16\x2f", "\x00\x00\x00\x08\x04\xd2\x16\x30"}, false}, // may I have TLS, GSSAPI
	{"an HTTP response", []string{"HTTP/1.", "HTTP/2"}, false},
	{"a PROXY protocol header", []string{"PROXY TCP", "PROXY UNKNOWN", "\r\n\r\n\x00\r\nQUIT\n"}, false},
	{"xz", []string{"\xfd7zXZ\x00"}, true},
	{"lz4", []string{"\x04\x22\x4d\x18"}, true},
	{"bzip2", []string{"BZh1", "BZh2", "BZh3", "BZh4", "BZh5", "BZh6", "BZh7", "BZh8", "BZh9"}, true},
	{"compress (.Z)", []string{"\x1f\x9d"}, true},
}

// guess says what begins with head, or nothing; foreign says that somebody has
// compressed it.
func guess(head []byte) (what string, foreign bool) {
	for _, p := range protocols {
		if slices.ContainsFunc(p.begins, func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }) {
			return p.name, p.foreign
		}
	}
	if isText(head) {
		return "text", false
	}
	return "", false
}

// shown writes the first bytes: a text as one, and others as numbers, which a log
// does not quote once more.
func shown(head []byte) string {
	head = head[:min(len(head), maxShown)]
	if isText(head) {
		return fmt.Sprintf("%q", head)
	}
	return fmt.Sprintf("% x", head)
}

// isText guesses, too.
func isText(head []byte) bool {
	for _, c := range head {
		if (c < ' ' || c > '~') && c != '\t' && c != '\r' && c != '\n' {
			return false
		}
	}
	return len(head) > 0
}
