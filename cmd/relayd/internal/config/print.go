package config

// The configuration as YAML: the effective one, with where each value comes
// from, what somebody has given, or a reference of everything.

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// A Style says how a configuration is printed.
type Style struct {
	Origins bool // with a comment behind each value that says where it comes from
	Given   bool // only what is not a default
}

// YAML returns the configuration as a file, which decodes to it. What a value
// has from another file is printed as ${file:PATH}.
func (c *Config) YAML(s Style) string {
	p := &printer{config: c, Style: s}
	return render(p.section(reflect.ValueOf(c).Elem(), "", ""))
}

// reference is a file with every key. Keys that have no default are comments, as
// is what is only allowed in their place.
func (c *Config) reference() string {
	p := &printer{config: c, explain: true}
	return render(p.section(reflect.ValueOf(c).Elem(), "", ""))
}

// A line is one of a file.
type line struct {
	depth   int
	item    bool   // it begins an element of a list
	hash    int    // depth of the # of a key that is a comment, from 1; 0 for none
	text    string // "" for an empty line
	origin  string
	comment bool
}

func render(lines []line) string {
	var b strings.Builder
	for _, l := range lines {
		indent := strings.Repeat("  ", l.depth)
		if l.item {
			indent = indent[2:] + "- "
		}
		if l.hash > 0 {
			at := 2 * (l.hash - 1)
			indent = indent[:at] + "#" + indent[at:]
		}
		if l.comment {
			indent += "# "
		}
		text := strings.TrimRight(indent+l.text, " ")
		if l.text == "" {
			text = ""
		}
		if l.origin != "" {
			text += "  # " + l.origin
		}
		b.WriteString(text + "\n")
	}
	return b.String()
}

type printer struct {
	config *Config
	Style
	explain bool
	hash    int // in a comment since this depth, from 1
	depth   int
}

// section prints the keys of a struct. inherit is the path from which it takes
// what it does not say.
func (p *printer) section(v reflect.Value, path, inherit string) []line {
	var lines []line
	for _, f := range fieldsOf(v.Type()) {
		from := inherit
		if f.inherit != "" {
			from = f.inherit
		} else if inherit != "" {
			from = below(inherit, f.key)
		}
		got := p.key(f, v.Field(f.index), below(path, f.key), from)
		if len(got) > 0 && p.explain {
			got = append(p.remarks(f, p.depth == 0 && len(lines) > 0), got...)
		}
		lines = append(lines, got...)
	}
	return lines
}

// remarks are what the reference says about a key.
func (p *printer) remarks(f field, gap bool) []line {
	var lines []line
	if gap {
		lines = append(lines, line{})
	}
	for _, text := range fold80(f.doc, 76-2*p.depth) {
		lines = append(lines, line{depth: p.depth, hash: p.hash, text: text, comment: true})
	}
	return lines
}

// fold80 breaks a text between words.
func fold80(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case len(*last)+1+len(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

// key prints one key with its value; nothing if there is nothing to say.
func (p *printer) key(f field, v reflect.Value, path, inherit string) []line {
	if x := valueOf(v); x != nil {
		return p.value(f, x, path, inherit)
	}
	switch {
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			return p.absent(f, v.Type())
		}
		return p.headed(f.key, func() []line { return p.section(v.Elem(), path, inherit) })
	case v.Kind() == reflect.Struct:
		return p.headed(f.key, func() []line { return p.section(v, path, inherit) })
	case f.named:
		return p.headed(f.key, func() []line { return p.names(v, path) })
	}
	return p.list(f, v, path)
}

// headed puts a key in front of what is below it, if anything is.
func (p *printer) headed(key string, body func() []line) []line {
	p.depth++
	lines := body()
	p.depth--
	if len(lines) == 0 {
		return nil
	}
	return append([]line{p.line(key + ":")}, lines...)
}

func (p *printer) line(text string) line { return line{depth: p.depth, hash: p.hash, text: text} }

func (p *printer) value(f field, x value, path, inherit string) []line {
	text := x.String()
	o, given := p.config.origins[path]
	if !given && inherit != "" {
		if p.Given {
			return nil
		}
		o = p.config.origins[inherit]
	}
	switch {
	case p.explain && p.hash == 0 && !given && (text == "" || f.follows || inherit != ""):
		return p.example(f)
	case p.explain && p.hash > 0 && f.example != "":
		return []line{p.line(f.key + ": " + f.example)}
	case text == "" || p.Given && (f.defaults || f.follows) && o.IsDefault():
		return nil
	}
	l := p.line(f.key + ": " + p.text(x, o))
	if p.Origins {
		l.origin = plain(o.String(), maxProblem)
	}
	return []line{l}
}

// example prints a key that is not given, as a comment.
func (p *printer) example(f field) []line {
	text := f.example
	if text == "" {
		text = f.fallback
	}
	return []line{{depth: p.depth, hash: p.depth + 1, text: f.key + ": " + text}}
}

// absent prints a section or a list of them that is not given, in a reference.
func (p *printer) absent(f field, t reflect.Type) []line {
	if !p.explain {
		return nil
	}
	if p.hash == 0 {
		p.hash = p.depth + 1
		defer func() { p.hash = 0 }()
	}
	switch {
	case t.Kind() == reflect.Pointer:
		return p.headed(f.key, func() []line { return p.section(element(t).Elem(), "", "") })
	case isValue(t.Elem()):
		return []line{p.line(f.key + ": " + f.example)}
	}
	return p.headed(f.key, func() []line { return p.item(element(t.Elem()), "") })
}

// names prints a mapping of names.
func (p *printer) names(list reflect.Value, path string) []line {
	var lines []line
	for i := range list.Len() {
		name := nameOf(list.Index(i))
		got := p.headed(quoteYAML(name), func() []line { return p.section(list.Index(i).Elem(), below(path, name), "") })
		lines = append(lines, got...)
	}
	return lines
}

// list prints a list of values in one line, and others in a line each.
func (p *printer) list(f field, v reflect.Value, path string) []line {
	if v.Len() == 0 {
		return p.absent(f, v.Type())
	}
	if !isValue(v.Type().Elem()) {
		return p.headed(f.key, func() []line {
			var lines []line
			for i := range v.Len() {
				lines = append(lines, p.item(v.Index(i), item(path, i))...)
			}
			return lines
		})
	}
	texts := make([]string, v.Len())
	for i := range texts {
		texts[i] = p.text(valueOf(v.Index(i)), p.config.origins[item(path, i)])
	}
	l := p.line(f.key + ": [" + strings.Join(texts, ", ") + "]")
	if p.Origins {
		l.origin = plain(p.config.origins[path].String(), maxProblem)
	}
	return []line{l}
}

// item prints an element that is a mapping.
func (p *printer) item(v reflect.Value, path string) []line {
	p.depth++
	lines := p.section(v, path, "")
	p.depth--
	for i := range lines {
		if !lines[i].comment {
			lines[i].item = true
			break
		}
		lines[i].depth--
	}
	return lines
}

// text returns a value as YAML.
func (p *printer) text(x value, o Origin) string {
	if o.Raw != "" {
		return quoteYAML(o.Raw)
	}
	s := x.String()
	if x.takes()&(integers|numbers|booleans) != 0 && bareShape.MatchString(s) {
		return s
	}
	return quoteYAML(strings.ReplaceAll(s, "$", "$$"))
}

var (
	bareShape  = regexp.MustCompile(`^([0-9]+(\.[0-9]+)?|true|false)$`)
	plainShape = regexp.MustCompile(`^[A-Za-z0-9/*][A-Za-z0-9/_.@%+=:-]*$`)
	// otherShape is what YAML, in any version, takes for something else.
	otherShape = regexp.MustCompile(`(?i)^([0-9._+:-]+|0_*[xob][0-9a-f_]*|[0-9._]+e[0-9._+-]*|true|false|null|yes|no|y|n|[0-9]{4}-[0-9]+-.*)$`)
)

// quoteYAML writes a text as a scalar that is one in all versions of YAML.
func quoteYAML(s string) string {
	if plainShape.MatchString(s) && s[0] != '*' && !otherShape.MatchString(s) && !strings.HasSuffix(s, ":") {
		return s
	}
	return strconv.Quote(s)
}

// Summary counts what there is: "1 listener, 2 routes, 2 upstreams".
func (c *Config) Summary() string {
	return fmt.Sprintf("%s, %s, %s", several(len(c.Listeners), "listener"), several(len(c.Routes), "route"), several(len(c.Upstreams), "upstream"))
}

func several(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
