package transform

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A chain does not change; an edit makes another one. The stages of a chain are
// called by their number, from 1, or by their name where there is one of it.

// The places for a stage that comes into a chain, besides before another one.
const (
	First = "first"
	Last  = "last"
	// Plain is where the bytes are as the programs at both ends mean them:
	// before what encodes, or after what decodes. Without either it is Last.
	Plain = "plain"
	// Wire is the other side of what encodes or decodes.
	Wire = "wire"
)

// Insert returns c with s in it: at one of the places, or before the stage that
// place calls. An empty place is [Plain].
func (c Chain) Insert(place string, s Stage) (Chain, error) {
	var i int
	switch place {
	case First:
	case Last:
		i = len(c)
	case Plain, "":
		i = c.side(true)
	case Wire:
		i = c.side(false)
	default:
		var err error
		if i, err = c.find(place); err != nil {
			return nil, fmt.Errorf("%w; or say first, last, plain or wire", err)
		}
	}
	return slices.Insert(slices.Clone(c), i, s), nil
}

// Replace returns c with s in place of the stage that which calls.
func (c Chain) Replace(which string, s Stage) (Chain, error) {
	i, err := c.find(which)
	if err != nil {
		return nil, err
	}
	c = slices.Clone(c)
	c[i] = s
	return c, nil
}

// Remove returns c without the stage that which calls.
func (c Chain) Remove(which string) (Chain, error) {
	i, err := c.find(which)
	if err != nil {
		return nil, err
	}
	return slices.Delete(slices.Clone(c), i, i+1), nil
}

// side returns where a stage goes to see the plain bytes, or those on the wire.
func (c Chain) side(plain bool) int {
	first, last, decodes := -1, -1, false
	for i, s := range c {
		if _, err := s.Inverse(); err != nil {
			continue
		}
		if first < 0 {
			first = i
		}
		last = i
		decodes = s.Decodes()
	}
	switch {
	case first < 0:
		return len(c)
	case plain == decodes:
		return last + 1
	}
	return first
}

// find returns the place of the stage that is called so.
func (c Chain) find(which string) (int, error) {
	if n, err := strconv.Atoi(which); err == nil {
		if n < 1 || n > len(c) {
			return 0, fmt.Errorf("there is no stage %d: %s", n, c.described())
		}
		return n - 1, nil
	}
	at := -1
	for i, s := range c {
		switch {
		case s.name != which:
		case at >= 0:
			return 0, fmt.Errorf("there are several stages %s: name one by its number: %s", which, c.described())
		default:
			at = i
		}
	}
	if at < 0 {
		return 0, fmt.Errorf("there is no stage %q: %s", which, c.described())
	}
	return at, nil
}

// described says what a chain has.
func (c Chain) described() string {
	if len(c) == 0 {
		return "the chain is empty"
	}
	texts := make([]string, len(c))
	for i, s := range c {
		texts[i] = fmt.Sprintf("%d %s", i+1, s)
	}
	return "the chain has " + strings.Join(texts, ", ")
}

// errDecoder is that a tunnel was to be made of what undoes another stage.
var errDecoder = errors.New("it decodes: a tunnel is named by what encodes, alike at both ends")

// Tunnel returns the chains of one end of a tunnel whose wire carries what the
// stages of c make: out encodes, in decodes. It fails with an [*Error] if a stage
// has no inverse, or is one itself.
func (c Chain) Tunnel() (out, in Chain, err error) {
	for _, s := range c {
		if s.Decodes() {
			return nil, nil, &Error{s.name, "wrap", errDecoder}
		}
	}
	if in, err = c.Inverse(); err != nil {
		return nil, nil, err
	}
	return c, in, nil
}

// Beside returns the stages of c and those of codec, which encode or decode: c is on
// its [Plain] side, or on its [Wire] side. It panics if the place is neither.
func (c Chain) Beside(place string, codec Chain) Chain {
	if place != Plain && place != Wire {
		panic("transform: Beside " + place)
	}
	decodes := len(codec) > 0 && codec[0].Decodes()
	if decodes == (place == Plain) {
		return slices.Concat(codec, c)
	}
	return slices.Concat(c, codec)
}
