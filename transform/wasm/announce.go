package wasm

// What a module announces: how many there are of something, and how long a name
// is. The compiler makes room for that before it looks whether it comes, so that
// a file of twenty bytes asks it for terabytes, which ends the process. And its
// tables of functions are not bounded by the option memory. So a module is looked
// at before it is compiled: what it announces must fit into the section that
// announces it, and its tables get the most that they may have.

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The sections of a module: see the specification of WebAssembly 2.0, 5.5.
const (
	customSection  = 0
	typeSection    = 1
	importSection  = 2
	tableSection   = 4
	exportSection  = 7
	startSection   = 8
	elementSection = 9
	codeSection    = 10
	dataSection    = 11
	countSection   = 12
)

const (
	// maxLocals is how many locals a function may have, as browsers have it.
	maxLocals = 50_000
	// entriesPerPage is how many entries of tables take a page of memory.
	entriesPerPage = pageSize / 8
)

var errAnnounced = errors.New("not a whole WebAssembly module: a section has not what it announces, or none that is known")

// bound returns a module's code without what announces too much: its tables are
// bounded by as much memory as it may have beside them, and names of its
// functions that are none are left out. The first bytes are known to be good.
func bound(code []byte, pages uint32) ([]byte, error) {
	r := reader{left: code[len(core):]}
	out := append(make([]byte, 0, len(code)+64), core...)
	for len(r.left) > 0 {
		id := r.byte()
		body := r.take(r.u32())
		if r.short {
			return nil, errAnnounced
		}
		switch id {
		case customSection:
			if !isCustom(body) {
				continue
			}
		case tableSection:
			var err error
			if body, err = boundTables(body, uint64(pages)*entriesPerPage); err != nil {
				return nil, err
			}
		default:
			if err := checkSection(id, body); err != nil {
				return nil, err
			}
		}
		out = binary.AppendUvarint(append(out, id), uint64(len(body)))
		out = append(out, body...)
	}
	return out, nil
}

// checkSection looks at the section of a kind. Entries of the kinds that are not
// listed announce nothing themselves.
func checkSection(id byte, body []byte) error {
	r := reader{left: body}
	if id == startSection || id == countSection {
		return nil // one number
	}
	entry := map[byte]func(*reader) error{
		typeSection: (*reader).function, importSection: (*reader).imported, exportSection: (*reader).exported,
		elementSection: (*reader).element, codeSection: (*reader).code, dataSection: (*reader).data,
	}[id]
	n := r.count()
	for i := uint32(0); entry != nil && i < n && !r.short; i++ {
		if err := entry(&r); err != nil {
			return err
		}
	}
	if r.short {
		return errAnnounced
	}
	return nil
}

// isCustom reports whether a custom section is one, and, if it has the names of
// functions, whether it has what it announces. Without one a module does as well.
func isCustom(body []byte) bool {
	r := reader{left: body}
	if name := r.name(); string(name) != "name" {
		return !r.short
	}
	for len(r.left) > 0 && !r.short {
		kind := r.byte()
		part := reader{left: r.take(r.u32())}
		switch kind {
		case 0: // the module
			part.name()
		case 1: // functions
			part.names()
		case 2: // locals of functions
			for n := part.count(); n > 0 && !part.short; n-- {
				part.u32()
				part.names()
			}
		default:
			continue
		}
		if part.short || len(part.left) > 0 {
			return false
		}
	}
	return !r.short
}

// A table is what a module has of one: its type, how long it is at first, and the
// expression that fills it, as they stand.
type table struct {
	head, fill []byte
	min, max   uint64
}

// boundTables returns a section of tables, which have room entries together, with
// the most that each may grow to.
func boundTables(body []byte, room uint64) ([]byte, error) {
	r := reader{left: body}
	var list []table
	total := uint64(0)
	for n := r.count(); n > 0 && !r.short; n-- {
		t := r.table()
		total += t.min
		list = append(list, t)
	}
	switch {
	case r.short || len(r.left) > 0:
		return nil, errAnnounced
	case total > room:
		return nil, fmt.Errorf("it wants tables of %d functions, and the option memory lets it have %d", total, room)
	}
	out := binary.AppendUvarint(nil, uint64(len(list)))
	for _, t := range list {
		out = append(append(out, t.head...), 1) // there is a most
		out = binary.AppendUvarint(out, t.min)
		out = binary.AppendUvarint(out, max(t.min, min(t.max, t.min+(room-total)/uint64(len(list)))))
		out = append(out, t.fill...)
	}
	return out, nil
}
