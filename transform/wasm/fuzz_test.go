package wasm

import (
	"bytes"
	"encoding/binary"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"relayd/transform"
)

// allocated is how many bytes f has taken from the heap, in all.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// fuzzPages is the memory of modules here: 1 MiB.
const fuzzPages = 16

// atWork runs a module for a short time, and returns how its stream has ended.
func atWork(m *module) (err error) {
	c := &config{module: m, name: "fuzz"}
	r := c.open(strings.NewReader(strings.Repeat("hello ", 1000)), &transform.Site{Log: slog.New(slog.DiscardHandler)})
	end := r.(interface{ Cut() }).Cut
	late := time.AfterFunc(50*time.Millisecond, end)
	_, err = io.Copy(io.Discard, io.LimitReader(r, 1<<20))
	late.Stop()
	end()
	r.Close()
	return err
}

// section is one of a module.
func section(id byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	return append(binary.AppendUvarint([]byte{id}, uint64(len(body))), body...)
}

func vector(entries ...[]byte) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(entries))), bytes.Join(entries, nil)...)
}

func named(name string) []byte { return append(binary.AppendUvarint(nil, uint64(len(name))), name...) }

// command is a module with one function, _start, of the given code, and with more
// sections before the first that stands behind its id.
func command(code []byte, more map[byte][]byte) []byte {
	sections := map[byte][]byte{
		1: section(1, vector([]byte{0x60, 0, 0})), 3: section(3, vector([]byte{0})),
		5: section(5, vector([]byte{1, 1, 1})), 7: section(7, vector(append(named("_start"), 0, 0))),
		10: section(10, vector(append(binary.AppendUvarint(nil, uint64(len(code))), code...))),
	}
	for id, s := range more {
		sections[id] = s
	}
	out := append([]byte(nil), core...)
	for id := byte(1); id < 13; id++ {
		out = append(out, sections[id]...)
	}
	return append(out, sections[0]...)
}

// huge is the largest number of 32 bits.
var huge = []byte{0xff, 0xff, 0xff, 0xff, 0x0f}

// announcing are modules of a few bytes that announce very much.
func announcing() map[string][]byte {
	end, table := []byte{0, 0x0b}, []byte{0x70, 0, 0x80, 0x80, 0x80, 0x20} // a table of 2^26
	return map[string][]byte{
		"imports":          append(bytes.Clone(core), section(2, huge)...),
		"a name":           append(bytes.Clone(core), section(2, []byte{1}, huge)...),
		"functions":        append(bytes.Clone(core), section(3, huge)...),
		"types":            append(bytes.Clone(core), section(1, huge)...),
		"parameters":       append(bytes.Clone(core), section(1, []byte{1, 0x60}, huge)...),
		"exports":          append(bytes.Clone(core), section(7, huge)...),
		"globals":          append(bytes.Clone(core), section(6, huge)...),
		"tables":           append(bytes.Clone(core), section(4, huge)...),
		"elements":         append(bytes.Clone(core), section(9, []byte{1, 1, 0}, huge)...),
		"data":             append(bytes.Clone(core), section(11, []byte{1, 1}, huge)...),
		"codes":            append(bytes.Clone(core), section(10, huge)...),
		"locals":           command(append(append([]byte{1}, huge...), 0x7f, 0x0b), nil),
		"a large table":    command(end, map[byte][]byte{4: section(4, vector(table))}),
		"many tables":      command(end, map[byte][]byte{4: section(4, vector(table, table, table, table, table, table, table, table))}),
		"an endless table": append(bytes.Clone(core), section(4, vector([]byte{0x70, 0}), huge)...),
		"names":            command(end, map[byte][]byte{0: section(0, named("name"), []byte{1, 5}, huge)}),
		"names of locals":  command(end, map[byte][]byte{0: section(0, named("name"), []byte{2, 7, 1, 0}, huge)}),
		"a module's name":  command(end, map[byte][]byte{0: section(0, named("name"), []byte{0, 5}, huge)}),
		"a section":        append(append(bytes.Clone(core), 0), huge...),
		"a table that grows": command([]byte{0, 0x03, 0x40, 0xd0, 0x70, 0x41, 0x80, 0x80, 0x80, 0x08, 0xfc, 0x0f, 0x00, 0x1a, 0x0c, 0x00, 0x0b, 0x0b},
			map[byte][]byte{4: section(4, vector([]byte{0x70, 0, 1}))}), // by 2^24 again and again
	}
}

// What a module of a few bytes announces takes no memory.
func TestAnnouncements(t *testing.T) {
	for name, code := range announcing() {
		t.Run(name, func(t *testing.T) {
			n := allocated(func() {
				m, err := compile(code, fuzzPages, false)
				if err != nil {
					return
				}
				defer m.runtime.Close(t.Context())
				atWork(m)
			})
			if n > 64<<20 {
				t.Errorf("%d bytes take %d of memory", len(code), n)
			}
		})
	}
}

// Modules that grow a table get as much as memory, and no more; what they have is
// as before.
func TestTablesGrow(t *testing.T) {
	// It traps unless it gets 100 entries, and does not get 2^20.
	code := []byte{0, 0xd0, 0x70, 0x41, 0xe4, 0x00, 0xfc, 0x0f, 0x00, 0x41, 0x01, 0x47, 0x04, 0x40, 0x00, 0x0b,
		0xd0, 0x70, 0x41, 0x80, 0x80, 0xc0, 0x00, 0xfc, 0x0f, 0x00, 0x41, 0x7f, 0x47, 0x04, 0x40, 0x00, 0x0b, 0x0b}
	m, err := compile(command(code, map[byte][]byte{4: section(4, vector([]byte{0x70, 0, 1}))}), fuzzPages, false)
	if err != nil {
		t.Fatal(err)
	}
	defer m.runtime.Close(t.Context())
	if err := atWork(m); err != nil {
		t.Error(err)
	}
}

// FuzzModule compiles anything, and runs it for a moment. It takes a bounded
// memory, whatever it announces; the compiler does not panic; and what is bounded
// stays as it is.
func FuzzModule(f *testing.F) {
	for _, name := range []string{"upper.wasm", "guest.wasm"} {
		code, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(code)
	}
	for _, code := range announcing() {
		f.Add(code)
	}
	f.Add(command([]byte{0, 0x03, 0x40, 0x0c, 0, 0x0b, 0x0b}, nil))          // for ever
	f.Add(command([]byte{0, 0x10, 0, 0x0b}, nil))                            // deeper and deeper
	f.Add(command([]byte{0, 0x41, 0x7f, 0x40, 0, 0x1a, 0x0b}, nil))          // memory without an end
	f.Add(command([]byte{0, 0x41, 0x7f, 0x28, 2, 0x00, 0x1a, 0x0b}, nil))    // behind its memory
	f.Add(command([]byte{1, 0xff, 0xff, 0x02, 0x7f, 0x20, 0x00, 0x1a, 0x0b}, // many locals
		map[byte][]byte{0: section(0, named("name"), []byte{1, 4, 1, 0, 1, 'x'}), 6: section(6, vector([]byte{0x7f, 1, 0x41, 0, 0x0b}))}))
	f.Fuzz(func(t *testing.T, code []byte) {
		if !bytes.HasPrefix(code, core) || len(code) > 64<<10 {
			return
		}
		var failed error
		n := allocated(func() {
			m, err := compile(code, fuzzPages, false)
			if err != nil {
				failed = err
				return
			}
			defer m.runtime.Close(t.Context())
			failed = atWork(m)
		})
		if failed != nil && strings.Contains(failed.Error(), "panic") {
			t.Error(failed)
		}
		// Calls inside of calls take twice their stack in all while it grows.
		if most := uint64(256<<20 + 2000*len(code)); n > most {
			t.Errorf("%d bytes take %d of memory", len(code), n)
		}
		if once, err := bound(code, fuzzPages); err == nil {
			if twice, err := bound(once, fuzzPages); err != nil || !bytes.Equal(once, twice) {
				t.Errorf("what is bounded is not: %v", err)
			}
		}
	})
}
