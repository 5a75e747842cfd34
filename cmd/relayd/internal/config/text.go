package config

// Texts, and texts with escapes.

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// A Text is any text of moderate length.
type Text string

const maxText = 64 << 10

var errLong = errors.New("it is longer than 64 KiB")

func (t *Text) set(text string, _ *field) error {
	if len(text) > maxText {
		return errLong
	}
	*t = Text(text)
	return nil
}

func (t *Text) String() string         { return string(*t) }
func (t *Text) takes() scalars         { return texts }
func (t *Text) pattern(*field) pattern { return pattern{format: "relayd-text"} }

// Escaped is a text with the escapes of a Go string. What has none is itself, so
// that it does not matter whether YAML has replaced them already.
type Escaped string

func (e *Escaped) set(text string, _ *field) error {
	if len(text) > maxText {
		return errLong
	}
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	if _, err := strconv.Unquote(`"` + strings.ReplaceAll(b.String(), `"`, `\x22`) + `"`); err != nil {
		return fmt.Errorf("%s has a \\ that begins no escape: write \\\\ for one", show(text))
	}
	*e = Escaped(b.String())
	return nil
}

func (e *Escaped) String() string         { return string(*e) }
func (e *Escaped) takes() scalars         { return texts }
func (e *Escaped) pattern(*field) pattern { return pattern{format: "relayd-escaped"} }

// A Path is one with what may be done there, read without more: PATH:rw.
type Path string

const pathExpr = `^([^:\n]+|[^\n]+:(r|rw|rx|rwx))$`

var pathShape = regexp.MustCompile(pathExpr)

func (p *Path) set(text string, _ *field) error {
	if len(text) > maxText {
		return errLong
	}
	if !pathShape.MatchString(text) {
		return fmt.Errorf("%s is not PATH, which is read, or PATH:rw, PATH:rx or PATH:rwx", show(text))
	}
	*p = Path(text)
	return nil
}

func (p *Path) String() string         { return string(*p) }
func (p *Path) takes() scalars         { return texts }
func (p *Path) pattern(*field) pattern { return pattern{expr: pathExpr, length: maxText} }
