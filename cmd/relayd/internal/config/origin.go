package config

// Where values come from.

import (
	"fmt"
	"strings"
)

// An Origin is where a value comes from: a place in a file, a flag, or a
// variable. The zero Origin is a default.
type Origin struct {
	File         string
	Line, Column int
	Flag         string // with its dashes
	Environment  string // a variable's name
	// Raw is the value as it is written, if a part of it is in another file:
	// what is in there may be a secret.
	Raw string
}

// IsDefault reports whether nobody has given the value.
func (o Origin) IsDefault() bool { return o.File == "" && o.Flag == "" && o.Environment == "" }

// String says it in a few words.
func (o Origin) String() string {
	switch {
	case o.Flag != "":
		return "flag " + o.Flag
	case o.Environment != "":
		return "environment " + o.Environment
	case o.Line > 0:
		return fmt.Sprintf("%s:%d", o.File, o.Line)
	case o.File != "":
		return o.File
	}
	return "default"
}

// place is where the problem is, at the beginning of a message.
func (o Origin) place() string {
	switch {
	case o.Flag != "":
		return o.Flag
	case o.Environment != "":
		return "environment variable " + o.Environment
	case o.Line > 0:
		return fmt.Sprintf("%s:%d:%d", o.File, o.Line, o.Column)
	}
	return o.File
}

// Origin returns where the value of a key comes from: routes.db.timeouts.idle.
func (c *Config) Origin(path string) Origin { return c.origins[path] }

func (c *Config) note(path string, o Origin) {
	if c.origins == nil {
		c.origins = make(map[string]Origin)
	}
	c.origins[path] = o
}

// below returns the path of a key below another one. A name with a dot in it
// has quotes.
func below(path, key string) string {
	if strings.ContainsAny(key, ". \"") || key == "" {
		key = show(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func item(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
