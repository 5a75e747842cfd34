package config

// The shape of the file is the Go structs and their tags. A struct is a mapping,
// a slice is a list, a slice of pointers is a mapping of names, and a pointer is
// a section that may be absent. What is left are values.

import (
	"reflect"
	"strconv"
	"strings"
	"sync"
)

// A value is one scalar of the file.
type value interface {
	// set parses a text. Its error says what is wrong with it, and what to
	// write instead.
	set(text string, f *field) error
	// String returns the text in its canonical form, which set takes; "" for a
	// value that is absent.
	String() string
	// takes says which scalars it is written as.
	takes() scalars
	// pattern describes the texts that set takes.
	pattern(f *field) pattern
}

// scalars are kinds of scalars in a file.
type scalars uint8

const (
	texts scalars = 1 << iota
	integers
	numbers // integers, too
	booleans
)

// A field is a key of a mapping.
type field struct {
	index    int
	key      string
	fallback string // the default, as it is written
	defaults bool   // whether there is one
	example  string
	doc      string
	inherit  string   // where a section takes from what it does not say
	words    []string // of a Word
	min, max int      // of a Count; a Duration with a min is never off
	required bool
	follows  bool // the default is another value
	named    bool
}

var fieldCache sync.Map // of []field by reflect.Type

// fieldsOf returns the keys of a struct, in order.
func fieldsOf(t reflect.Type) []field {
	if known, ok := fieldCache.Load(t); ok {
		return known.([]field)
	}
	var list []field
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		f := field{index: i, key: tag.Get("key"), example: tag.Get("example"), doc: tag.Get("doc"), inherit: tag.Get("inherit"), max: maxCount}
		if f.key == "" {
			continue
		}
		f.fallback, f.defaults = tag.Lookup("default")
		if w := tag.Get("words"); w != "" {
			f.words = strings.Split(w, ",")
		}
		if n := tag.Get("min"); n != "" {
			f.min = mustNumber(n)
		}
		if n := tag.Get("max"); n != "" {
			f.max = mustNumber(n)
		}
		f.follows = tag.Get("follows") != ""
		f.required = tag.Get("required") == "true"
		f.named = tag.Get("named") == "true"
		list = append(list, f)
	}
	fieldCache.Store(t, list)
	return list
}

func mustNumber(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic("config: a tag says " + s)
	}
	return n
}

// fieldOf returns the field of a struct that has a key, or nil.
func fieldOf(t reflect.Type, key string) *field {
	list := fieldsOf(t)
	for i := range list {
		if list[i].key == key {
			return &list[i]
		}
	}
	return nil
}

// keysOf returns the keys of a struct.
func keysOf(t reflect.Type) []string {
	var keys []string
	for _, f := range fieldsOf(t) {
		keys = append(keys, f.key)
	}
	return keys
}

// valueOf returns v as a value, or nil if it is more than a scalar.
func valueOf(v reflect.Value) value {
	if v.Kind() == reflect.Pointer {
		return nil
	}
	x, _ := v.Addr().Interface().(value)
	return x
}

// isValue reports whether a type is that of a value.
func isValue(t reflect.Type) bool { return reflect.PointerTo(t).Implements(valueType) }

var valueType = reflect.TypeFor[value]()

// fill gives a struct its defaults. What inherits has none of its own.
func fill(v reflect.Value) {
	for _, f := range fieldsOf(v.Type()) {
		x := v.Field(f.index)
		switch {
		case f.inherit != "":
		case f.defaults:
			if err := valueOf(x).set(f.fallback, &f); err != nil {
				panic("config: the default of " + f.key + ": " + err.Error())
			}
		case x.Kind() == reflect.Struct && valueOf(x) == nil:
			fill(x)
		}
	}
}

// element returns a new element of a list or mapping, with its defaults.
func element(t reflect.Type) reflect.Value {
	p := t
	if t.Kind() == reflect.Pointer {
		p = t.Elem()
	}
	v := reflect.New(p)
	if p.Kind() == reflect.Struct && !isValue(p) {
		fill(v.Elem())
	}
	if t.Kind() == reflect.Pointer {
		return v
	}
	return v.Elem()
}

// named returns the entry of a mapping of names, which is a slice of pointers,
// and adds it if it is not there.
func named(list reflect.Value, name string) reflect.Value {
	for i := range list.Len() {
		if nameOf(list.Index(i)) == name {
			return list.Index(i).Elem()
		}
	}
	e := element(list.Type().Elem())
	e.Elem().FieldByName("Name").SetString(name)
	list.Set(reflect.Append(list, e))
	return e.Elem()
}

func nameOf(entry reflect.Value) string { return entry.Elem().FieldByName("Name").String() }
