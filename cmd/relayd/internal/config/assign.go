package config

// The command line and the environment fill the same structs as a file does.

import (
	"fmt"
	"reflect"
	"strconv"
)

// Set gives the value at a path a text, as a file would write it, and says where
// that is from. The path is its keys: "timeouts", "idle". Names that are not
// there are added, and so is the element behind the last one of a list.
func (c *Config) Set(from Origin, text string, keys ...string) error {
	v, path := reflect.ValueOf(c).Elem(), ""
	f := &field{}
	for _, key := range keys {
		switch {
		case f.named:
			v, path = named(v, key), below(path, key)
			if _, known := c.origins[path]; !known {
				c.note(path, from)
			}
			f = &field{}
		case v.Kind() == reflect.Slice:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i > v.Len() {
				return fmt.Errorf("%s has no element %q", path, key)
			}
			if i == v.Len() {
				v.Set(reflect.Append(v, element(v.Type().Elem())))
			}
			if _, known := c.origins[path]; !known {
				c.note(path, from)
			}
			v, path = v.Index(i), item(path, i)
		default:
			if f = fieldOf(v.Type(), key); f == nil {
				return fmt.Errorf("%s has no key %q", path, key)
			}
			v, path = v.Field(f.index), below(path, key)
		}
	}
	x := valueOf(v)
	if x == nil {
		return fmt.Errorf("%s is no value", path)
	}
	if err := x.set(text, f); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	c.note(path, from)
	return nil
}
