package wasm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
	"weak"

	"github.com/tetratelabs/wazero"
	wasi "github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// maxFile is how big a module's file may be, in bytes.
const maxFile = 256 << 20

// A module is compiled code, ready to be instantiated by any number of
// goroutines. Its runtime is closed when nobody refers to it any more.
type module struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
}

// A key says which modules are the same.
type key struct {
	sum     [sha256.Size]byte
	pages   uint32
	trusted bool
}

// modules are those of the process. It holds none of them.
var modules = struct {
	mu    sync.Mutex // held while one is compiled
	known map[key]weak.Pointer[module]
}{known: make(map[key]weak.Pointer[module])}

// load returns the module in a file.
func load(path string, pages uint32, trusted bool) (*module, error) {
	code, err := readFile(path)
	if err != nil {
		return nil, err
	}
	k := key{sha256.Sum256(code), pages, trusted}
	modules.mu.Lock()
	defer modules.mu.Unlock()
	if m := modules.known[k].Value(); m != nil {
		return m, nil
	}
	m, err := compile(code, pages, trusted)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	modules.known[k] = weak.Make(m)
	runtime.AddCleanup(m, forget, forgotten{k, m.runtime})
	return m, nil
}

// forgotten is what is left of a module that nobody refers to.
type forgotten struct {
	key     key
	runtime wazero.Runtime
}

// forget frees a module's code, and its place, unless another one has that by
// now.
func forget(f forgotten) {
	f.runtime.Close(context.Background())
	modules.mu.Lock()
	defer modules.mu.Unlock()
	if modules.known[f.key].Value() == nil {
		delete(modules.known, f.key)
	}
}

// readFile reads a module, and no more than one may be, whatever the file is. It
// does not wait for the writer of a FIFO.
func readFile(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: not a file", path)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s: more than %d MiB", path, maxFile>>20)
	}
	return io.ReadAll(io.LimitReader(file, maxFile))
}

var (
	errText      = errors.New("WebAssembly text: build a module of it, with wat2wasm")
	errNone      = errors.New("not a WebAssembly module")
	errComponent = errors.New("a WebAssembly component: want a WASI preview 1 module, which is called wasm32-wasi, wasm32-wasip1 or wasip1")
	errNoStart   = errors.New("not a command: it has no function _start")
)

// The first bytes of a file: the magic number and the version.
var (
	magic     = []byte("\x00asm")
	core      = []byte("\x00asm\x01\x00\x00\x00")
	component = []byte("\x00asm\x0d\x00\x01\x00")
)

// compile makes a module of the bytes of one.
func compile(code []byte, pages uint32, trusted bool) (*module, error) {
	switch {
	case bytes.HasPrefix(code, core):
	case bytes.HasPrefix(code, component):
		return nil, errComponent
	case bytes.HasPrefix(code, magic) && len(code) >= len(core):
		return nil, fmt.Errorf("WebAssembly of the unknown version %x", code[len(magic):len(core)])
	case bytes.HasPrefix(bytes.TrimSpace(code), []byte("(module")):
		return nil, errText
	default:
		return nil, errNone
	}
	code, err := bound(code, pages)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	m := &module{runtime: wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().
		WithMemoryLimitPages(pages).
		WithCloseOnContextDone(!trusted))}
	if err := m.prepare(ctx, code); err != nil {
		m.runtime.Close(ctx)
		return nil, err
	}
	return m, nil
}

// prepare compiles the code, and looks whether it can be run. A panic is a fault of
// the compiler, which must not take the process along.
func (m *module) prepare(ctx context.Context, code []byte) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("it cannot be compiled: panic: %v", v)
		}
	}()
	if _, err := wasi.Instantiate(ctx, m.runtime); err != nil {
		return err
	}
	compiled, err := m.runtime.CompileModule(ctx, code)
	if err != nil {
		return err
	}
	for _, f := range compiled.ImportedFunctions() {
		if from, name, _ := f.Import(); from != wasi.ModuleName {
			return fmt.Errorf("it wants the function %s of %s, and there is %s only", name, from, wasi.ModuleName)
		}
	}
	if _, ok := compiled.ExportedFunctions()["_start"]; !ok {
		return errNoStart
	}
	m.compiled = compiled
	return nil
}
