package wasm

import "bytes"

// maxLine is how much of a line of standard error is passed on, in bytes.
const maxLine = 4096

// lines is a module's standard error. It says each line, and keeps no more than
// the one that has not ended, and the last.
type lines struct {
	say  func(line string)
	part []byte // of the line that has not ended, maxLine at most
	last string
}

func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	for {
		line, rest, ended := bytes.Cut(p, []byte("\n"))
		l.part = append(l.part, line[:min(len(line), maxLine-len(l.part))]...)
		if !ended {
			return n, nil
		}
		l.flush()
		p = rest
	}
}

func (l *lines) flush() {
	l.last = string(l.part)
	l.part = l.part[:0]
	l.say(l.last)
}

// end says what has no newline.
func (l *lines) end() {
	if len(l.part) > 0 {
		l.flush()
	}
	l.part = nil
}
