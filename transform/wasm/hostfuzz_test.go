package wasm

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// The functions that a module may call, with what they take: i is a number of 32
// bits and I one of 64. Each returns an error's number but proc_exit.
var hostFunctions = []struct{ name, takes string }{
	{"args_get", "ii"}, {"args_sizes_get", "ii"}, {"environ_get", "ii"}, {"environ_sizes_get", "ii"}, {"clock_res_get", "ii"}, {"clock_time_get", "iIi"},
	{"fd_advise", "iIIi"}, {"fd_allocate", "iII"}, {"fd_close", "i"}, {"fd_datasync", "i"}, {"fd_fdstat_get", "ii"}, {"fd_fdstat_set_flags", "ii"},
	{"fd_fdstat_set_rights", "iII"}, {"fd_filestat_get", "ii"}, {"fd_filestat_set_size", "iI"}, {"fd_filestat_set_times", "iIIi"}, {"fd_pread", "iiiIi"},
	{"fd_prestat_get", "ii"}, {"fd_prestat_dir_name", "iii"}, {"fd_pwrite", "iiiIi"}, {"fd_read", "iiii"}, {"fd_readdir", "iiiIi"}, {"fd_renumber", "ii"},
	{"fd_seek", "iIii"}, {"fd_sync", "i"}, {"fd_tell", "ii"}, {"fd_write", "iiii"}, {"path_create_directory", "iii"}, {"path_filestat_get", "iiiii"},
	{"path_filestat_set_times", "iiiiIIi"}, {"path_link", "iiiiiii"}, {"path_open", "iiiiiIIii"}, {"path_readlink", "iiiiii"}, {"path_remove_directory", "iii"},
	{"path_rename", "iiiiii"}, {"path_symlink", "iiiii"}, {"path_unlink_file", "iii"}, {"poll_oneoff", "iiii"}, {"proc_raise", "i"}, {"sched_yield", ""},
	{"random_get", "ii"}, {"sock_accept", "iii"}, {"sock_recv", "iiiiii"}, {"sock_send", "iiiii"}, {"sock_shutdown", "ii"},
}

// signed appends a number as constants have it.
func signed(b []byte, n int64) []byte {
	for {
		c := byte(n & 0x7f)
		n >>= 7
		if n == 0 && c&0x40 == 0 || n == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// caller is a module that makes calls: each is a function's number and what it
// takes, numbers of eight bytes, as far as there are some. memory is what is in
// its memory before.
func caller(calls, memory []byte) []byte {
	next := func() (n uint64) {
		var b [8]byte
		calls = calls[copy(b[:], calls):]
		return binary.LittleEndian.Uint64(b[:])
	}
	types, imports := [][]byte{{0x60, 0, 0}}, [][]byte{}
	for i, f := range hostFunctions {
		takes := []byte(strings.NewReplacer("i", "\x7f", "I", "\x7e").Replace(f.takes))
		types = append(types, append(append([]byte{0x60}, append([]byte{byte(len(takes))}, takes...)...), 1, 0x7f))
		imports = append(imports, append(append(named("wasi_snapshot_preview1"), named(f.name)...), 0, byte(i+1)))
	}
	code := []byte{0}
	for n := 0; len(calls) > 0 && n < 64; n++ {
		which := int(calls[0]) % len(hostFunctions)
		calls = calls[1:]
		for _, kind := range hostFunctions[which].takes {
			if kind == 'i' {
				code = signed(append(code, 0x41), int64(int32(next())))
			} else {
				code = signed(append(code, 0x42), int64(next()))
			}
		}
		code = append(code, 0x10, byte(which), 0x1a)
	}
	return command(append(code, 0x0b), map[byte][]byte{
		1: section(1, vector(types...)), 2: section(2, vector(imports...)), 7: section(7, vector(append(named("_start"), 0, byte(len(hostFunctions))))),
		11: section(11, vector(append([]byte{0, 0x41, 0, 0x0b}, named(string(memory[:min(len(memory), pageSize)]))...))),
	})
}

// call is one for caller.
func call(name string, takes ...int64) []byte {
	for i, f := range hostFunctions {
		if f.name == name {
			b := []byte{byte(i)}
			for _, n := range takes {
				b = binary.LittleEndian.AppendUint64(b, uint64(n))
			}
			return b
		}
	}
	panic("wasm: no function " + name)
}

// hostCalls are calls with pointers and lengths that lead out of a module's memory.
func hostCalls() (list [][]byte) {
	for i, f := range hostFunctions {
		for _, n := range []int64{-1, 0, 1, pageSize - 4, 1 << 31} {
			b := []byte{byte(i)}
			for range f.takes {
				b = binary.LittleEndian.AppendUint64(b, uint64(n))
			}
			list = append(list, b)
		}
	}
	return append(list,
		call("fd_write", 1, 0, -1, 0), call("fd_read", 0, pageSize-8, 2, 0), call("random_get", 0, -1), call("random_get", 4, pageSize-4),
		call("fd_renumber", 1, 1<<31-1), call("fd_renumber", 0, 1<<20), call("poll_oneoff", 0, 8, -1, 16), call("poll_oneoff", 0, 4096, 1000, 16),
		call("fd_readdir", 3, 0, -1, 0, 8), call("path_open", 3, 0, 0, -1, 0, -1, -1, 0, 8),
		bytes.Join([][]byte{call("fd_close", 0), call("fd_close", 1), call("fd_write", 1, 0, 1, 8), call("fd_read", 0, 0, 1, 8)}, nil),
	)
}

// checkCaller runs a module that makes calls, and wants it to have done no harm.
func checkCaller(t *testing.T, calls, memory []byte) {
	t.Helper()
	var failed error
	n := allocated(func() {
		m, err := compile(caller(calls, memory), fuzzPages, false)
		if err != nil {
			t.Fatal(err)
		}
		defer m.runtime.Close(t.Context())
		failed = atWork(m)
	})
	if failed != nil && strings.Contains(failed.Error(), "panic") {
		t.Errorf("%q: %v", calls, failed)
	}
	if n > 64<<20 {
		t.Errorf("%q takes %d bytes of memory", calls, n)
	}
}

// What is outside of a module's memory is not reached by any function that it
// may call.
func TestHostCalls(t *testing.T) {
	for _, calls := range hostCalls() {
		checkCaller(t, calls, []byte("\x00\x00\x00\x00\xff\xff\xff\xff\xf0\xff\x00\x00\x20\x00\x00\x00"))
	}
}

// FuzzHostCalls makes any calls with any numbers.
func FuzzHostCalls(f *testing.F) {
	f.Add(bytes.Join(hostCalls()[:60], nil), []byte("\x10\x00\x00\x00\xff\xff\x00\x00"))
	for i, calls := range hostCalls() {
		if i%10 == 0 || len(calls) > 60 {
			f.Add(calls, []byte("\x00\x00\x00\x00\xff\xff\xff\xff\xf0\xff\x00\x00\x20\x00\x00\x00"))
		}
	}
	f.Fuzz(checkCaller)
}
