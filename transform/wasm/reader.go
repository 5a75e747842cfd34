package wasm

// A reader takes apart the binary format of WebAssembly as far as it has to be
// known where things end: see the specification, chapter 5.

import (
	"fmt"
	"math"
)

// A reader reads what is left. What is not there is zero, and short is set.
type reader struct {
	left  []byte
	short bool
}

func (r *reader) byte() byte {
	if b := r.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *reader) take(n uint32) []byte {
	if uint64(n) > uint64(len(r.left)) {
		r.left, r.short = nil, true
		return nil
	}
	b := r.left[:n]
	r.left = r.left[n:]
	return b
}

// u32 reads a number of 32 bits, which takes five bytes at most.
func (r *reader) u32() uint32 {
	n := uint64(0)
	for i := range 5 {
		b := r.byte()
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			if n > math.MaxUint32 {
				break
			}
			return uint32(n)
		}
	}
	r.left, r.short = nil, true
	return 0
}

// number skips a number of up to 64 bits, with a sign or without.
func (r *reader) number() {
	for range 10 {
		if r.byte() < 0x80 {
			return
		}
	}
	r.left, r.short = nil, true
}

// count reads how many entries follow, each of which takes a byte at least.
func (r *reader) count() uint32 {
	n := r.u32()
	if uint64(n) > uint64(len(r.left)) {
		r.left, r.short = nil, true
		return 0
	}
	return n
}

func (r *reader) name() []byte { return r.take(r.u32()) }

// names reads a map of numbers to names.
func (r *reader) names() {
	for n := r.count(); n > 0 && !r.short; n-- {
		r.u32()
		r.name()
	}
}

// valueType reads the type of a value.
func (r *reader) valueType() {
	if b := r.byte(); b == 0x63 || b == 0x64 { // a reference to what follows
		r.number()
	}
}

// limits reads the least and the most of something.
func (r *reader) limits() (least, most uint64) {
	flag := r.byte()
	least, most = uint64(r.u32()), math.MaxUint32
	if flag&1 != 0 {
		most = uint64(r.u32())
	}
	return least, most
}

// function reads the type of a function, or a group of them.
func (r *reader) function() error {
	const group = 0x4e
	form, n := r.byte(), uint32(1)
	if form == group {
		n, form = r.count(), r.byte()
	}
	for ; n > 0 && !r.short; n-- {
		if form != 0x60 {
			return fmt.Errorf("it has a type of the unknown form %#x", form)
		}
		for range 2 { // what it takes, and what it returns
			for k := r.count(); k > 0 && !r.short; k-- {
				r.valueType()
			}
		}
		if n > 1 {
			form = r.byte()
		}
	}
	return nil
}

func (r *reader) imported() error {
	r.name()
	r.name()
	switch kind := r.byte(); kind {
	case 0: // a function
		r.u32()
	case 1: // a table
		r.valueType()
		r.limits()
	case 2: // a memory
		r.limits()
	case 3: // a global
		r.valueType()
		r.byte()
	default:
		return fmt.Errorf("it wants something of the unknown kind %d", kind)
	}
	return nil
}

func (r *reader) exported() error {
	r.name()
	r.byte()
	r.u32()
	return nil
}

// table reads a table.
func (r *reader) table() (t table) {
	begin := r.left
	filled := len(r.left) > 0 && r.left[0] == 0x40
	if filled {
		r.take(2)
	}
	r.valueType()
	t.head = begin[:len(begin)-len(r.left)]
	t.min, t.max = r.limits()
	begin = r.left
	if filled {
		r.expression()
	}
	t.fill = begin[:len(begin)-len(r.left)]
	return t
}

// element reads a segment of elements; its kind has a bit for each of what it
// does without, has beside, and is written as.
func (r *reader) element() error {
	const passive, explicit, expressions = 1, 2, 4
	kind := r.u32()
	if kind > 7 {
		return fmt.Errorf("it has elements of the unknown kind %d", kind)
	}
	if kind&passive == 0 {
		if kind&explicit != 0 {
			r.u32() // the table
		}
		r.expression()
	}
	if kind&(passive|explicit) != 0 {
		r.valueType() // or the kind of what there is an index of
	}
	for n := r.count(); n > 0 && !r.short; n-- {
		if kind&expressions != 0 {
			r.expression()
		} else {
			r.u32()
		}
	}
	return nil
}

// code reads the code of a function, as far as it announces locals.
func (r *reader) code() error {
	body := reader{left: r.take(r.u32())}
	total := uint64(0)
	for n := body.count(); n > 0 && !body.short; n-- {
		total += uint64(body.u32())
		body.valueType()
	}
	r.short = r.short || body.short
	if total > maxLocals {
		return fmt.Errorf("it has a function with %d locals: %d are the most", total, maxLocals)
	}
	return nil
}

// data reads a segment of data.
func (r *reader) data() error {
	switch kind := r.u32(); kind {
	case 0, 2:
		if kind == 2 {
			r.u32() // the memory
		}
		r.expression()
	case 1: // it goes nowhere by itself
	default:
		return fmt.Errorf("it has data of the unknown kind %d", kind)
	}
	r.name()
	return nil
}

// expression skips a constant expression, to its end.
func (r *reader) expression() {
	for !r.short {
		switch op := r.byte(); op {
		case 0x0b: // the end
			return
		case 0x41, 0x42, 0x23, 0xd0, 0xd2: // an integer, a global, a reference
			r.number()
		case 0x43:
			r.take(4)
		case 0x44:
			r.take(8)
		case 0xfd: // a vector
			r.number()
			r.take(16)
		case 0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e: // add, subtract, multiply
		default:
			r.left, r.short = nil, true
		}
	}
}
