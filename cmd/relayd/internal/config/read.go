package config

// From bytes to a tree of YAML, of which JSON is a part.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxFile bounds a file. One with 10,000 routes is about half as long.
const maxFile = 4 << 20

// Load reads and decodes a file: what is there is as in Decode.
func Load(path string) (*Config, *Problems) {
	text, err := readFile(path)
	if err != nil {
		c := Default()
		c.File = path
		var op *os.PathError
		if errors.As(err, &op) {
			err = op.Err
		}
		p := new(Problems)
		p.add(Problem{At: Origin{File: path}, Text: "cannot be read: " + err.Error()})
		return c, p
	}
	return Decode(path, text, os.LookupEnv)
}

// readFile reads a file, which may be a pipe, to a byte more than is allowed.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// Decode decodes the text of a file that has a name. It goes on after an error,
// and returns all that are wrong with it by itself; Config.Check finds what does
// not fit together. What is in error is as if it were not there.
func Decode(name string, text []byte, lookup func(string) (string, bool)) (*Config, *Problems) {
	read := func(path string) ([]byte, error) { return readShort(path, maxSecret) }
	return decode(name, text, lookup, read)
}

func decode(name string, text []byte, lookup func(string) (string, bool), read func(string) ([]byte, error)) (*Config, *Problems) {
	c := Default()
	c.File = name
	d := &decoder{
		config:   c,
		expander: expander{lookup: lookup, read: read, left: maxExpanded},
		problems: new(Problems),
		left:     maxNodes,
	}
	if root := d.parse(text); root != nil {
		d.mapping(root, reflect.ValueOf(c).Elem(), "")
	}
	c.files = d.files
	d.problems.sort()
	return c, d.problems
}

// Default returns the configuration without listeners, routes and upstreams in
// which nobody has chosen anything.
func Default() *Config {
	c := &Config{Version: 1}
	fill(reflect.ValueOf(c).Elem())
	return c
}

// parse returns the root of the tree, or nil.
func (d *decoder) parse(text []byte) *yaml.Node {
	at := Origin{File: d.config.File, Line: 1, Column: 1}
	switch {
	case len(text) > maxFile:
		d.problem(at, "", "the file is longer than %d MiB", maxFile>>20)
		return nil
	case !utf8.Valid(text):
		good := validPrefix(text)
		at.Line += bytes.Count(text[:good], []byte("\n"))
		at.Column = good - bytes.LastIndexByte(text[:good], '\n')
		d.problem(at, "", "this is not UTF-8: save the file as such")
		return nil
	}
	var doc yaml.Node
	if isEmpty(text) {
		d.problem(at, "", "the file is empty: it begins with version: 1")
		return nil
	}
	if err := yaml.Load(text, &doc); err != nil {
		d.syntax(at, err, text)
		return nil
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		d.problem(at, "", "the file is empty: it begins with version: 1")
		return nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		d.problem(d.at(root), "", "the file is %s, and not a mapping: it begins with version: 1", kindOf(root))
		return nil
	}
	return root
}

// validPrefix returns how many bytes are UTF-8. U+FFFD, which a decoder returns for
// what is not, is a sign like any other.
func validPrefix(text []byte) (n int) {
	for n < len(text) {
		r, size := utf8.DecodeRune(text[n:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		n += size
	}
	return n
}

// isEmpty reports whether there are only comments.
func isEmpty(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

// syntax tells what the parser says, and where.
func (d *decoder) syntax(at Origin, err error, text []byte) {
	message := err.Error()
	var bad *yaml.LoadError
	if errors.As(err, &bad) {
		message = bad.Message
		if bad.Mark.Line > 0 {
			at.Line, at.Column = bad.Mark.Line, max(1, bad.Mark.Column)
		} else if bad.ContextMark.Line > 0 {
			at.Line, at.Column = bad.ContextMark.Line, max(1, bad.ContextMark.Column)
		}
		if bad.ContextMsg != "" {
			message = bad.ContextMsg + ", " + message
		}
	}
	if lines := bytes.Split(text, []byte("\n")); at.Line <= len(lines) && bytes.Contains(lines[at.Line-1], []byte("${")) {
		message += "; between braces or brackets a text with ${…} needs quotes"
	}
	d.problem(at, "", "this is not YAML: %s", message)
}

func (d *decoder) problem(at Origin, path, format string, args ...any) {
	d.problems.add(Problem{At: at, Path: path, Text: fmt.Sprintf(format, args...)})
}
