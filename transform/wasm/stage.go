package wasm

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"relayd/transform"
	"relayd/transform/internal/filter"
)

// The places of the options.
const (
	optFile = iota
	optArgs
	optEnv
	optMemory
	optTrusted
)

// Stage returns the definition of the stage, for [transform.Register].
func Stage() transform.Definition {
	return transform.Definition{
		Info: transform.Info{
			Name:    "wasm",
			Summary: "run the bytes through a WebAssembly module, from its standard input to its standard output",
			Options: []transform.Option{
				optFile: transform.Option{
					Name:     "file",
					Values:   "the path of a WASI preview 1 command",
					Doc:      "it is compiled when the stage is parsed",
					Main:     true,
					Required: true,
				}.Input(),
				optArgs: transform.Option{
					Name:   "args",
					Values: `words; '…', "…" and \ quote as in a shell`,
					Doc:    "the module's arguments after its name",
				}.Canon(canonWords),
				optEnv: transform.Option{
					Name:   "env",
					Values: "words of the form NAME=VALUE",
					Doc:    "the module's environment, which is empty otherwise",
				}.Canon(canonEnv),
				optMemory: transform.Option{
					Name:    "memory",
					Default: "64MiB",
					Values:  "64KiB to 4GiB",
					Doc:     "how much memory an instance may have, in pages of 64 KiB",
				}.Canon(canonMemory),
				optTrusted: transform.Option{
					Name:    "trusted",
					Default: "false",
					Values:  "true or false",
					Doc:     "true is 4 to 20 times faster in tight loops, and nothing ends a module that computes without end",
				}.Canon(canonBool),
			},
			Memory: "what the option memory says, as much again for tables of functions, 40 KiB, up to 100 MiB for calls inside of calls" +
				" (150 MiB while that grows), and the compiled code once for all streams",
			Example: "wasm:upper.wasm,memory=1MiB",
			Notes: []string{
				"The module reads its input and writes its output, knows the time, may sleep and take random " +
					"bytes. It sees no file, no network, and no argument or variable but those given here. Its " +
					"standard error goes to the log, line by line.",
				"Each conn and direction has an instance of its own. An exit code that is not zero, or a " +
					"trap, ends the conn with the reason stage-failed. One that is cut is ended at once, also " +
					"while it computes, unless it is trusted.",
			},
		},
		New: newStage,
	}
}

func newStage(values []string) (func(src io.Reader, at *transform.Site) io.ReadCloser, error) {
	c := &config{name: filepath.Base(values[optFile])}
	var err error
	if c.args, err = transform.SplitWords(values[optArgs]); err != nil {
		return nil, err
	}
	if c.env, err = transform.SplitWords(values[optEnv]); err != nil {
		return nil, err
	}
	pages, err := parsePages(values[optMemory])
	if err != nil {
		return nil, err
	}
	c.module, err = load(values[optFile], pages, values[optTrusted] == "true")
	if err != nil {
		return nil, err
	}
	return c.open, nil
}

// A config is a stage's module and what an instance of it is given.
type config struct {
	module *module
	name   string
	args   []string
	env    []string
}

func (c *config) open(src io.Reader, at *transform.Site) io.ReadCloser {
	f := filter.New(src, func() (filter.Body, error) { return start(c, at) })
	at.OnCut(f.Cut)
	return f
}

func canonWords(value string) (string, error) {
	_, err := transform.SplitWords(value)
	return value, err
}

func canonEnv(value string) (string, error) {
	words, err := transform.SplitWords(value)
	if err != nil {
		return "", err
	}
	for _, w := range words {
		if name, _, ok := strings.Cut(w, "="); !ok || name == "" {
			return "", fmt.Errorf("want words of the form NAME=VALUE, not %q", w)
		}
	}
	return value, nil
}

func canonBool(value string) (string, error) {
	if value != "true" && value != "false" {
		return "", errors.New("want true or false")
	}
	return value, nil
}

const (
	pageSize = 64 << 10
	maxPages = 1 << 16
)

var units = []struct {
	name string
	size uint64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

func canonMemory(value string) (string, error) {
	pages, err := parsePages(value)
	if err != nil {
		return "", err
	}
	size := uint64(pages) * pageSize
	for _, u := range units {
		if size%u.size == 0 {
			return strconv.FormatUint(size/u.size, 10) + u.name, nil
		}
	}
	panic("wasm: a page is less than a KiB")
}

// parsePages returns how many pages a size is, rounded down.
func parsePages(value string) (uint32, error) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(value, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 32)
		if err != nil || n*u.size < pageSize || n*u.size > maxPages*pageSize {
			break
		}
		return uint32(n * u.size / pageSize), nil
	}
	return 0, errors.New("want a size from 64KiB to 4GiB, such as 16MiB")
}
