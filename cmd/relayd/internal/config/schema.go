package config

// The shape as a JSON Schema, for editors. What no schema can say, that an
// address is one or that a name is known, the decoder says alone; a format
// stands for it: relayd-listen, relayd-dial, relayd-admin, relayd-network,
// relayd-ip, relayd-stages, relayd-text, relayd-escaped and relayd-time.

import (
	"encoding/json"
	"reflect"
	"strings"
)

type object = map[string]any

// Schema returns the schema of the file, of draft 2020-12.
func Schema() ([]byte, error) {
	s := &schema{defs: object{}}
	root := s.section(reflect.TypeFor[Config]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "the configuration of relayd"
	root["$defs"] = s.defs
	text, err := json.MarshalIndent(root, "", "  ")
	return append(text, '\n'), err
}

type schema struct {
	defs object
}

// refer returns a reference to a struct's schema, which is made once.
func (s *schema) refer(t reflect.Type) object {
	name := strings.ToLower(t.Name())
	if _, ok := s.defs[name]; !ok {
		s.defs[name] = nil // no struct is in itself, but a mistake is not to loop
		s.defs[name] = s.section(t)
	}
	return object{"$ref": "#/$defs/" + name}
}

// section describes a struct.
func (s *schema) section(t reflect.Type) object {
	properties, required := object{}, []string{}
	for _, f := range fieldsOf(t) {
		p := s.field(&f, t.Field(f.index).Type)
		p["description"] = f.doc
		if f.defaults {
			p["default"] = fallback(&f, t.Field(f.index).Type)
		}
		properties[f.key] = p
		if f.required {
			required = append(required, f.key)
		}
	}
	o := object{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		o["required"] = required
	} else {
		o["type"] = []string{"object", "null"} // with all keys in comments
	}
	return o
}

// fallback is a default as JSON: a number if it is written as one.
func fallback(f *field, t reflect.Type) any {
	if bareShape.MatchString(f.fallback) && reflect.New(t).Interface().(value).takes()&(integers|numbers|booleans) != 0 {
		return json.RawMessage(f.fallback)
	}
	return f.fallback
}

// field describes what a key may have.
func (s *schema) field(f *field, t reflect.Type) object {
	switch {
	case isValue(t):
		return scalar(f, t)
	case t.Kind() == reflect.Pointer:
		return s.refer(t.Elem())
	case t.Kind() == reflect.Struct:
		return s.refer(t)
	case f.named:
		return object{"type": []string{"object", "null"}, "propertyNames": object{"pattern": nameExpr}, "additionalProperties": s.refer(t.Elem().Elem())}
	}
	return s.list(f, t.Elem())
}

// list describes a list, in the place of which one element will do if it is a
// value.
func (s *schema) list(f *field, t reflect.Type) object {
	var one object // as a value
	var each object
	if isValue(t) {
		one = scalar(f, t)
		each = one
	} else {
		each = s.refer(t)
		if short := shortOf(t); short != nil {
			one = scalar(short, t.Field(short.index).Type)
			each = object{"anyOf": []any{one, each}}
		}
	}
	list := object{"type": "array", "items": each}
	if f.required {
		list["minItems"] = 1
	}
	if one == nil {
		return list
	}
	return object{"anyOf": []any{list, one}}
}

// scalar describes a value: a text, a number, or a text with ${…} in it, which
// may become anything.
func scalar(f *field, t reflect.Type) object {
	x := reflect.New(t).Interface().(value)
	p, kinds := x.pattern(f), x.takes()
	var forms []any
	if p.words != nil {
		var words []any
		for _, w := range p.words {
			words = append(words, w)
		}
		if kinds&booleans != 0 {
			words = append(words, true, false)
		}
		forms = append(forms, object{"enum": words})
	} else if kinds&texts != 0 {
		forms = append(forms, p.text())
	}
	switch {
	case t == reflect.TypeFor[Duration]() && p.min > 0:
	case t == reflect.TypeFor[Duration]():
		forms = append(forms, object{"const": 0})
	case kinds&numbers != 0:
		forms = append(forms, object{"type": "number", "minimum": 0, "maximum": p.max})
	case kinds&integers != 0:
		forms = append(forms, object{"type": "integer", "minimum": p.min, "maximum": p.max})
	}
	if len(forms) == 1 && kinds == texts && p.expr == "" && p.words == nil && p.format == "relayd-text" {
		return forms[0].(object)
	}
	return object{"anyOf": append(forms, object{"type": "string", "pattern": `\$\{`})}
}

func (p pattern) text() object {
	o := object{"type": "string"}
	if p.expr != "" {
		o["pattern"] = p.expr
	}
	if p.also != "" {
		o["allOf"] = []any{object{"pattern": p.also}}
	}
	if p.format != "" {
		o["format"] = p.format
	}
	if p.length > 0 {
		o["maxLength"] = p.length
	}
	return o
}
