package config

// Texts of the file may hold ${VAR}, ${VAR:-DEFAULT} and ${file:/PATH}; $$ is a
// dollar. Keys may not.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"syscall"
	"unicode/utf8"
)

const (
	// maxSecret is the longest file that a value can be in.
	maxSecret = 64 << 10
	// maxExpanded bounds what all values of a file are expanded to.
	maxExpanded = 8 << 20
)

// An expander replaces what is in braces.
type expander struct {
	lookup func(string) (string, bool)
	read   func(path string) ([]byte, error)
	left   int      // bytes that may still come of it
	files  []string // that were read
}

var variableShape = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expand returns the text with everything replaced, and whether a part of it
// was in a file.
func (e *expander) expand(text string) (out string, fromFile bool, err error) {
	if !strings.Contains(text, "$") {
		return text, false, nil
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		b.WriteString(before)
		switch {
		case !found:
			return b.String(), fromFile, nil
		case strings.HasPrefix(rest, "$"):
			b.WriteByte('$')
			text = rest[1:]
			continue
		case !strings.HasPrefix(rest, "{"):
			b.WriteByte('$')
			text = rest
			continue
		}
		inside, after, closed := strings.Cut(rest[1:], "}")
		if !closed {
			return "", false, errors.New(`"${" without "}"; a dollar is written $$`)
		}
		v, file, err := e.one(inside)
		if err != nil {
			return "", false, err
		}
		if e.left -= len(v); e.left < 0 {
			return "", false, fmt.Errorf("the values in braces are longer than %d MiB, all in all", maxExpanded>>20)
		}
		b.WriteString(v)
		fromFile = fromFile || file
		text = after
	}
}

// one returns what is meant by what is in the braces.
func (e *expander) one(inside string) (v string, fromFile bool, err error) {
	if path, ok := strings.CutPrefix(inside, "file:"); ok {
		v, err = e.file(path)
		return v, true, err
	}
	name, fallback, has := strings.Cut(inside, ":-")
	if !variableShape.MatchString(name) {
		return "", false, fmt.Errorf("%s is neither a variable nor file:/PATH; a dollar is written $$", show("${"+inside+"}"))
	}
	v, ok := e.lookup(name)
	switch {
	case (!ok || v == "") && has:
		v = fallback
	case !ok:
		return "", false, fmt.Errorf("the environment has no %s: set it, or write ${%s:-DEFAULT}", name, name)
	}
	if !utf8.ValidString(v) {
		return "", false, fmt.Errorf("%s in the environment is not text", name)
	}
	return v, false, nil
}

// file returns what is in a file, without the newline at its end.
func (e *expander) file(path string) (string, error) {
	if !strings.HasPrefix(path, "/") {
		return "", fmt.Errorf("%s: the path of a file begins with /", show("${file:"+path+"}"))
	}
	e.files = append(e.files, path)
	text, err := e.read(path)
	if err != nil {
		var op *os.PathError
		if errors.As(err, &op) {
			err = op.Err
		}
		return "", fmt.Errorf("file %s: %w", show(path), err)
	}
	switch {
	case len(text) > maxSecret:
		return "", fmt.Errorf("file %s is longer than %d KiB", show(path), maxSecret>>10)
	case !utf8.Valid(text):
		return "", fmt.Errorf("file %s is not text", show(path))
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), nil
}

// readShort reads a regular file up to one byte more than a number. It does not
// wait for the writer of a pipe.
func readShort(path string, most int) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, errors.New("is a directory")
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	return io.ReadAll(io.LimitReader(f, int64(most)+1))
}
