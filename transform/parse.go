package transform

// The grammar of stages, for flags, environment, config and API alike:
//
//	chain  = [ stage { "," stage } ] .
//	stage  = name [ ":" ( option | value ) { "," option } ] .
//	option = key "=" value .
//	value  = quoted | bare .
//
// A value without a key is that of the stage's main option, if it has one:
// hash:sha256 is hash:algorithm=sha256, and the shorter is the canonical form.
// It must not look like an option, which begins with letters, digits, "-" and
// "_", and "=": then it is put in quotes.
//
// A quoted value is a Go string in double quotes. A bare one is any text
// without a comma that does not begin with a double quote. A comma ends a stage
// or an option of it, and what follows tells which: only an option has a "="
// before any ":" or ",".

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const stageForm = "a stage is written name or name:key=value,key=value"

// ParseStage parses a stage as it is written: name or name:key=value,key=value.
// The key of a stage's main option is left out, if that comes first: name:value.
// A value that holds a comma is put in double quotes, as a Go string.
//
// The error is an [*Error] that says at which byte of the text, counted from 1,
// it went wrong, and what was probably meant.
func ParseStage(text string) (Stage, error) {
	p := parser{text: text}
	s, err := p.stage()
	if err != nil {
		return Stage{}, err
	}
	if p.pos < len(text) {
		return Stage{}, p.errorf(p.pos, "%q follows the stage: one stage is wanted here", text[p.pos:])
	}
	return s, nil
}

// ParseChain parses stages with commas between them. The empty text is the
// empty chain.
func ParseChain(text string) (Chain, error) {
	if text == "" {
		return nil, nil
	}
	var c Chain
	for p := (parser{text: text}); ; p.pos++ {
		s, err := p.stage()
		if err != nil {
			return nil, err
		}
		c = append(c, s)
		if p.peek() != ',' {
			return c, nil
		}
	}
}

// A parser stands at text[pos]. Each of its methods takes what it names, and
// leaves pos behind it, which is at the end, or at a separator.
type parser struct {
	text string
	pos  int
}

func (p *parser) errorf(pos int, format string, args ...any) error {
	err := fmt.Errorf("byte %d: %w", pos+1, fmt.Errorf(format, args...))
	return &Error{p.text, "parse", err}
}

// peek returns the byte at pos, or 0 at the end.
func (p *parser) peek() byte {
	if p.pos == len(p.text) {
		return 0
	}
	return p.text[p.pos]
}

// until takes everything before the first byte of seps, or before the end.
func (p *parser) until(seps string) string {
	rest := p.text[p.pos:]
	if i := strings.IndexAny(rest, seps); i >= 0 {
		rest = rest[:i]
	}
	p.pos += len(rest)
	return rest
}

func (p *parser) stage() (Stage, error) {
	start := p.pos
	name := p.until(":,=")
	def := lookup(name)
	switch {
	case p.peek() == '=':
		return Stage{}, p.errorf(start, "%q is not the name of a stage: %s", name+"=", stageForm)
	case name == "":
		return Stage{}, p.errorf(start, "name of a stage expected: %s; known are %s",
			stageForm, strings.Join(stageNames(), ", "))
	case def == nil:
		return Stage{}, p.errorf(start, "%w", unknownStage(name))
	}
	values := make([]string, len(def.Options))
	for i, o := range def.Options {
		values[i] = o.Default
	}
	if p.peek() == ':' {
		if err := p.options(def, values); err != nil {
			return Stage{}, err
		}
	}
	open, err := def.opener(values)
	if err != nil {
		return Stage{}, p.errorf(start, "%w", err)
	}
	return Stage{name: def.Name, text: def.text(values), def: def, values: values, open: open}, nil
}

// opener returns what opens the stage, if nothing is missing and all goes
// together.
func (def *definition) opener(values []string) (opener, error) {
	for i, o := range def.Options {
		if o.Required && values[i] == "" {
			return nil, fmt.Errorf("stage %s needs its option %q: write %s", def.Name, o.Name, def.form(o))
		}
	}
	if def.check != nil {
		if err := def.check(values); err != nil {
			return nil, err
		}
	}
	if def.make != nil {
		return def.make(values)
	}
	return def.build(values), nil
}

// form is how the stage is written with an option.
func (def *definition) form(o Option) string {
	form := def.Name + ":"
	if !o.Main {
		form += o.Name + "="
	}
	return form + strings.ToUpper(o.Name)
}

// options takes the colon and the options after it, and puts their canonical
// values into values, which holds the defaults.
func (p *parser) options(def *definition, values []string) error {
	given := make([]bool, len(values))
	first := p.pos + 1
	for more := true; more; more = p.peek() == ',' && p.optionFollows() {
		p.pos++ // the colon, or a comma
		start := p.pos
		i := slices.IndexFunc(def.Options, isMain)
		if i < 0 || start > first || hasKey(p.text[start:]) {
			var err error
			if i, err = p.key(def); err != nil {
				return err
			}
		} else if c := p.peek(); c == 0 || c == ',' {
			return p.errorf(start, "value expected: write %s", def.form(def.Options[i]))
		}
		option := &def.Options[i]
		if given[i] {
			return p.errorf(start, "option %q is given twice", option.Name)
		}
		given[i] = true
		start = p.pos
		value, err := p.value()
		if err != nil {
			return err
		}
		values[i], err = option.canon(value)
		if err != nil {
			return p.errorf(start, "bad value %q of option %q: %w", value, option.Name, err)
		}
	}
	return nil
}

func isMain(o Option) bool { return o.Main }

// hasKey reports whether text begins as an option does, and not as a value.
func hasKey(text string) bool {
	key, _, ok := strings.Cut(text, "=")
	return ok && key != "" && strings.Trim(key, keyBytes) == ""
}

const keyBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// optionFollows reports whether the comma at pos ends an option, not the stage.
func (p *parser) optionFollows() bool {
	rest := p.text[p.pos+1:]
	i := strings.IndexAny(rest, ":,=")
	return i >= 0 && rest[i] == '='
}

// key takes an option's name and its equals sign, and returns which it is.
func (p *parser) key(def *definition) (int, error) {
	start := p.pos
	key := p.until(":,=")
	if p.peek() != '=' {
		return 0, p.errorf(start, "option expected: %s", stageForm)
	}
	p.pos++
	i := slices.IndexFunc(def.Options, func(o Option) bool { return o.Name == key })
	if i >= 0 {
		return i, nil
	}
	if len(def.Options) == 0 {
		return 0, p.errorf(start, "unknown option %q: stage %s has no options", key, def.Name)
	}
	names := make([]string, len(def.Options))
	for i, o := range def.Options {
		names[i] = o.Name
	}
	return 0, p.errorf(start, "unknown option %q: %s", key, suggest(key, names))
}

func (p *parser) value() (string, error) {
	if p.peek() != '"' {
		return p.until(","), nil
	}
	start := p.pos
	quoted, err := strconv.QuotedPrefix(p.text[start:])
	if err != nil {
		return "", p.errorf(start, "the quoted value does not end, or is no Go string")
	}
	p.pos += len(quoted)
	if p.pos < len(p.text) && p.peek() != ',' {
		return "", p.errorf(p.pos, "%q follows the quoted value: want a comma or the end", p.text[p.pos:])
	}
	return strconv.Unquote(quoted)
}

// text is the canonical form of a stage with the canonical values of its options.
func (def *definition) text(values []string) string {
	var b strings.Builder
	b.WriteString(def.Name)
	sep := byte(':')
	for i, o := range def.Options {
		if values[i] == o.Default {
			continue
		}
		b.WriteByte(sep)
		b.WriteString(o.written(values[i], sep == ':'))
		sep = ','
	}
	return b.String()
}

// written is the option as text writes it: the key of the main one is left
// out where it may be.
func (o Option) written(value string, first bool) string {
	switch {
	case !o.Main || !first:
		return o.Name + "=" + quote(value)
	case value == "" || hasKey(value):
		return strconv.Quote(value)
	}
	return quote(value)
}

// quote writes a value so that the parser reads the same value again.
func quote(value string) string {
	quoted := strconv.Quote(value)
	if strings.Contains(value, ",") || quoted != `"`+value+`"` {
		return quoted
	}
	return value
}
