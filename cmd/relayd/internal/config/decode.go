package config

// From a tree of YAML to the structs, by their shape.

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxNodes bounds how many nodes are looked at, with those that aliases repeat.
const maxNodes = 1 << 19

type decoder struct {
	config *Config
	expander
	problems *Problems
	left     int // nodes that may still be looked at
}

func (d *decoder) at(n *yaml.Node) Origin {
	return Origin{File: d.config.File, Line: n.Line, Column: n.Column}
}

// enter follows aliases to the node that is meant. It returns nil when there
// have been too many: a file of a few lines of aliases stands for any number.
func (d *decoder) enter(n *yaml.Node) *yaml.Node {
	d.left--
	if d.left == 0 {
		d.problem(d.at(n), "", "the file stands for more than %d values: write out what its aliases repeat", maxNodes)
	}
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	if d.left <= 0 {
		return nil
	}
	return n
}

// any decodes a node into v, whatever it is in the shape.
func (d *decoder) any(n *yaml.Node, f *field, v reflect.Value, path string) {
	if n = d.enter(n); n == nil {
		return
	}
	x := valueOf(v)
	list := v.Kind() == reflect.Slice && !f.named
	switch {
	case (x != nil || list) && isNull(n):
		d.problem(d.at(n), path, "there is no value: give one, or leave the key out")
	case x != nil:
		d.scalar(n, f, x, path)
	case v.Kind() == reflect.Struct:
		d.section(n, v, path)
	case v.Kind() == reflect.Pointer:
		v.Set(element(v.Type()))
		d.section(n, v.Elem(), path)
	case f.named:
		d.names(n, v, path)
	default:
		d.list(n, f, v, path)
	}
}

// isNull reports whether nothing is written. That is a mapping without keys,
// where there can be one: all of them may be in comments.
func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// section is a struct. If it can be written as one value it may be.
func (d *decoder) section(n *yaml.Node, v reflect.Value, path string) {
	if short := shortOf(v.Type()); short != nil && n.Kind == yaml.ScalarNode {
		d.any(n, short, v.Field(short.index), below(path, short.key))
		return
	}
	if n.Kind != yaml.MappingNode && !isNull(n) {
		d.problem(d.at(n), path, "this is %s, and not a mapping of %s", kindOf(n), strings.Join(keysOf(v.Type()), ", "))
		return
	}
	d.mapping(n, v, path)
}

// shortOf returns the field that a target written as one value has, or nil.
func shortOf(t reflect.Type) *field {
	if t == reflect.TypeFor[Target]() {
		return fieldOf(t, "address")
	}
	return nil
}

// mapping decodes the keys of a struct.
func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string) {
	t := v.Type()
	seen := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, x := n.Content[i], n.Content[i+1]
		key, ok := d.key(k, path, seen)
		if !ok {
			continue
		}
		f := fieldOf(t, key)
		if f == nil {
			d.unknown(k, key, t, path)
			continue
		}
		d.any(x, f, v.Field(f.index), below(path, key))
	}
	for _, f := range fieldsOf(t) {
		if _, ok := seen[f.key]; f.required && !ok {
			d.problem(d.at(n), path, "%s is missing: write %s: %s", f.key, f.key, f.example)
		}
	}
}

// unknown says that there is no such key, and what may be meant.
func (d *decoder) unknown(k *yaml.Node, key string, t reflect.Type, path string) {
	known := keysOf(t)
	hint := suggest(key, known)
	switch {
	case key == "<<":
		hint = ": mappings are not merged; give the whole one a name with & and repeat it with *"
	case hint == "":
		hint = "; there are " + strings.Join(known, ", ")
	}
	d.problem(d.at(k), below(path, key), "there is no such key%s", hint)
}

// key returns the text of a key that has not been there yet.
func (d *decoder) key(k *yaml.Node, path string, seen map[string]int) (string, bool) {
	if d.enter(k) == nil {
		return "", false
	}
	if k.Kind != yaml.ScalarNode || k.Tag == "!!null" {
		d.problem(d.at(k), path, "a key is %s, and not a word", kindOf(k))
		return "", false
	}
	if line, ok := seen[k.Value]; ok {
		d.problem(d.at(k), below(path, k.Value), "the key is there twice: it is in line %d already", line)
		return "", false
	}
	seen[k.Value] = k.Line
	return k.Value, true
}

// names decodes a mapping of names.
func (d *decoder) names(n *yaml.Node, list reflect.Value, path string) {
	if n.Kind != yaml.MappingNode && !isNull(n) {
		d.problem(d.at(n), path, "this is %s, and not a mapping from names", kindOf(n))
		return
	}
	seen := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, x := n.Content[i], n.Content[i+1]
		name, ok := d.key(k, path, seen)
		if !ok {
			continue
		}
		if err := checkName(name); err != nil {
			d.problem(d.at(k), path, "%v", err)
			continue
		}
		e := element(list.Type().Elem())
		e.Elem().FieldByName("Name").SetString(name)
		at := below(path, name)
		d.config.note(at, d.at(k))
		if x = d.enter(x); x != nil {
			d.section(x, e.Elem(), at)
		}
		list.Set(reflect.Append(list, e))
	}
}

// list decodes a sequence, or one element without its brackets.
func (d *decoder) list(n *yaml.Node, f *field, v reflect.Value, path string) {
	t := v.Type().Elem()
	content := []*yaml.Node{n}
	switch {
	case n.Kind == yaml.SequenceNode:
		content = n.Content
	case n.Kind == yaml.ScalarNode && (isValue(t) || shortOf(t) != nil):
	default:
		d.problem(d.at(n), path, "this is %s, and not a list: write [A, B]", kindOf(n))
		return
	}
	if len(content) == 0 && f.required {
		d.problem(d.at(n), path, "the list is empty: write %s", f.example)
	}
	d.config.note(path, d.at(n))
	for i, x := range content {
		e := element(t)
		errors := d.problems.Errors()
		d.any(x, f, e, item(path, i))
		if d.left <= 0 {
			return
		}
		if d.problems.Errors() == errors || !isValue(t) {
			v.Set(reflect.Append(v, e))
		}
	}
}

// scalar decodes a value.
func (d *decoder) scalar(n *yaml.Node, f *field, v value, path string) {
	text, kind, err := scalarOf(n)
	if err != "" {
		d.problem(d.at(n), path, "%s", err)
		return
	}
	at := d.at(n)
	switch {
	case kind == texts && n.Tag == "!!str":
		expanded, fromFile, err := d.expand(text)
		if err != nil {
			d.problem(at, path, "%v", err)
			return
		}
		if fromFile {
			at.Raw = text
		}
		if v.takes()&texts == 0 && expanded == text {
			d.problem(at, path, "this is a text: write the number without quotes")
			return
		}
		text = expanded
	case kind&numbers != 0 && v.takes()&(integers|numbers) != 0: // set says what it wants
	case v.takes()&kind == 0:
		d.problem(at, path, "this is %s, and not a text: %s", kindOf(n), inQuotes(n.Value, f, v))
		return
	}
	if err := v.set(text, f); err != nil {
		if at.Raw != "" { // what is in the file stays there
			err = fmt.Errorf("what %s stands for will not do here", show(at.Raw))
		}
		d.problem(at, path, "%v", err)
		return
	}
	if h, ok := v.(hider); ok && at.Raw != "" {
		h.hide(at.Raw)
	}
	d.config.note(path, at)
}

// inQuotes says what to do about a text that YAML takes for something else: quotes
// help only if it is right in them.
func inQuotes(text string, f *field, v value) string {
	other := reflect.New(reflect.TypeOf(v).Elem()).Interface().(value)
	if err := other.set(text, f); err != nil {
		return err.Error()
	}
	return "write it in quotes, as " + strconv.Quote(text)
}

// A hider is a value that relayd shows while it runs, and of which a part may be
// a secret: it is shown as it was written.
type hider interface{ hide(raw string) }

// scalarOf returns the text of a scalar, with numbers as decimals, and what it
// is; or what is wrong with it.
func scalarOf(n *yaml.Node) (text string, kind scalars, problem string) {
	if n.Kind != yaml.ScalarNode {
		return "", 0, "this is " + kindOf(n) + ", and not one value"
	}
	switch n.Tag {
	case "!!int":
		var i int64
		if n.Decode(&i) != nil {
			return "", 0, "this number is too large"
		}
		return strconv.FormatInt(i, 10), integers | numbers, ""
	case "!!float":
		var x float64
		if n.Decode(&x) != nil || math.IsNaN(x) || math.Abs(x) > 1<<53 {
			return "", 0, "this number is too large"
		}
		kind = numbers
		if x == math.Trunc(x) {
			kind |= integers
		}
		return strconv.FormatFloat(x, 'f', -1, 64), kind, ""
	case "!!bool":
		var b bool
		if n.Decode(&b) != nil {
			return "", 0, "this is neither true nor false"
		}
		return strconv.FormatBool(b), booleans, ""
	case "!!str", "!!timestamp":
		return n.Value, texts, ""
	}
	return "", 0, "tags such as " + show(n.Tag) + " have no meaning here"
}

// kindOf names what a node is.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.Tag {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!null":
		return "nothing"
	}
	return "a text"
}
