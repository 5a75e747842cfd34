package transform

// The replace stage: one text for another, wherever it stands, also across the
// borders of what is read at once.

import (
	"bytes"
	"fmt"
	"io"
	"time"
)

const (
	// maxReplace bounds the texts, in bytes.
	maxReplace = 64 << 10

	// replaceChunk is how much is read at once, and how much output may be
	// pending before the rest of the input waits.
	replaceChunk = 32 << 10
)

var replaceDefinition = definition{
	Info: Info{
		Name:    "replace",
		Summary: "put one text in the place of another",
		Options: []Option{{
			Name:   "from",
			Values: `any bytes, 64 KiB at most; in double quotes as a Go string: "\r\n", "\x00"`,
			Doc: "what is replaced, from left to right; bytes that may be the beginning of one, and not more than those," +
				" wait until more comes or the stream ends",
			Main:     true,
			Required: true,
			canon:    canonReplace,
		}, {
			Name:   "to",
			Values: "as from, or empty",
			Doc:    "what comes in its place; nothing, if it is left out",
			canon:  canonReplace,
		}},
		Memory:  "128 KiB and the texts, while there is something to replace or in the way of a slow reader; else 500 bytes, and 8 for each of from",
		Example: "replace:http://,to=https://",
		Notes: []string{
			"It knows nothing of the protocol: what says how long the text is, such as the Content-Length of HTTP, stays as it was. Texts of the same length are safe.",
			"It sees the bytes as they are where it stands: before what encodes, or behind what decodes.",
		},
	},
	build: func(values []string) opener {
		from, to := []byte(values[0]), []byte(values[1])
		borders := borders(from)
		return func(src *source) io.ReadCloser {
			return &replacing{src: src, from: from, to: to, borders: borders}
		}
	},
}

func canonReplace(value string) (string, error) {
	if len(value) > maxReplace {
		return "", fmt.Errorf("want %d bytes at most", maxReplace)
	}
	return value, nil
}

// borders returns, for each length of a beginning of text, the length of the
// longest shorter beginning that it ends with: the table of Knuth, Morris and
// Pratt.
func borders(text []byte) []int {
	b := make([]int, len(text)+1)
	k := 0
	for i := 1; i < len(text); i++ {
		for k > 0 && text[i] != text[k] {
			k = b[k]
		}
		if text[i] == text[k] {
			k++
		}
		b[i+1] = k
	}
	return b
}

type replacing struct {
	src      *source
	from, to []byte
	borders  []int

	in   pending // read, and not looked at: there was enough output
	held int     // from[:held] was read, and may become one
	out  pending
	err  error // how the source ended
}

func (r *replacing) Read(p []byte) (int, error) {
	for r.out.Len() == 0 {
		switch {
		case r.in.Len() > 0:
			r.again()
		case r.err != nil:
			return 0, r.err
		default:
			if n := r.more(p[:min(len(p), replaceChunk)]); n > 0 {
				return n, nil
			}
		}
	}
	return r.out.take(p), nil
}

// more reads the source to p. If p begins then with what has to come out next,
// more returns how much of it; else the output is pending.
func (r *replacing) more(p []byte) int {
	n, err := r.src.Read(p)
	if err != nil {
		r.err = err
		r.out.Write(r.from[:r.held])
		r.held = 0
		return 0
	}
	p = p[:n]
	if r.held == 0 && !bytes.Contains(p, r.from) {
		r.held = r.tail(p)
		return n - r.held
	}
	r.in.Write(r.replace(p))
	return 0
}

// again goes on with the input that had to wait.
func (r *replacing) again() {
	p := (*r.in.buf)[r.in.off:]
	r.in.off += len(p) - len(r.replace(p))
	if r.in.Len() == 0 {
		r.in.drop()
	}
}

// replace makes output of p, and returns the rest of p when there is enough.
func (r *replacing) replace(p []byte) []byte {
	for len(p) > 0 && r.out.Len() < replaceChunk {
		if r.held > 0 {
			r.step(p[0])
			p = p[1:]
			continue
		}
		if i := bytes.Index(p, r.from); i >= 0 {
			r.out.Write(p[:i])
			r.out.Write(r.to)
			p = p[i+len(r.from):]
			continue
		}
		r.held = r.tail(p)
		r.out.Write(p[:len(p)-r.held])
		return nil
	}
	return p
}

// step takes one byte behind those held.
func (r *replacing) step(c byte) {
	held := r.held
	for r.held > 0 && r.from[r.held] != c {
		r.held = r.borders[r.held]
	}
	r.out.Write(r.from[:held-r.held])
	switch {
	case r.from[r.held] != c: // nothing is held
		r.out.Write([]byte{c})
	case r.held+1 == len(r.from):
		r.out.Write(r.to)
		r.held = 0
	default:
		r.held++
	}
}

// tail returns how many bytes at the end of p, which has no whole one in it, may
// become one.
func (r *replacing) tail(p []byte) int {
	k := 0
	for _, c := range p[max(0, len(p)-len(r.from)+1):] {
		for k > 0 && r.from[k] != c {
			k = r.borders[k]
		}
		if r.from[k] == c {
			k++
		}
	}
	return k
}

// Ready reads what is at hand, until it makes output: what was read may all have
// to wait.
func (r *replacing) Ready() bool {
	for r.out.Len() == 0 && r.err == nil {
		switch {
		case r.in.Len() > 0:
			r.again()
		case r.src.Ready():
			b := borrow()
			p := (*b)[:min(cap(*b), replaceChunk)]
			r.out.Write(p[:r.more(p)])
			giveBack(b)
		default:
			return false
		}
	}
	return true
}

// Wait waits for what makes output, or may.
func (r *replacing) Wait(d time.Duration) bool { return r.Ready() || r.src.Wait(d) }

func (r *replacing) Close() error {
	r.in.drop()
	r.out.drop()
	return nil
}
