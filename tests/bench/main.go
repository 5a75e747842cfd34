// Main is the way from flags to figures.

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	if played, err := playRole(); played {
		exit(err)
	}
	o, err := parseOptions(os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = bench(ctx, o, os.Stdout, os.Stderr)
		stop()
	}
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// bench measures, and writes what came of it.
func bench(ctx context.Context, o options, out, log io.Writer) (err error) {
	files, err := raiseFiles()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "relayd-bench-")
	if err != nil {
		return err
	}
	kept := dir
	if o.keep {
		fmt.Fprintln(log, "configurations and logs are kept in", dir)
		kept = ""
	}
	k, err := startKeeper(kept)
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	defer func() { err = errors.Join(err, k.close()) }()
	t, err := newToolbox(ctx, o, dir, log)
	if err != nil {
		return err
	}
	y := &yard{dir: dir, files: files, keeper: k}
	y.ports.Store(int32(time.Now().UnixMilli() % (lastPort - firstPort)))
	if o.carry > 0 {
		return y.carry(ctx, o, t, out, log)
	}
	rows, peers, err := o.choose(t.rows(), t.peers(ctx))
	if err != nil {
		return err
	}
	backend, err := startSession(ctx, roleBackend)
	if err != nil {
		return err
	}
	defer backend.close(true)
	h := &harness{options: o, yard: y, backend: backend}
	r, err := h.run(ctx, rows, peers, &progress{w: log, terminal: isTerminal(log)})
	if err != nil {
		return err
	}
	return errors.Join(writeTable(out, r), writeFiles(o, r))
}

// newToolbox finds or builds what peers are made from.
func newToolbox(ctx context.Context, o options, dir string, log io.Writer) (toolbox, error) {
	if o.relayd != "" {
		path, err := filepath.Abs(o.relayd)
		if err == nil {
			_, err = os.Stat(path)
		}
		return toolbox{relayd: path}, err
	}
	fmt.Fprintln(log, "building relayd")
	path := filepath.Join(dir, "relayd")
	output, err := exec.CommandContext(ctx, "go", "build", "-o", path, "relayd/cmd/relayd").CombinedOutput()
	if err != nil {
		return toolbox{}, fmt.Errorf("building relayd: %w\n%s", err, output)
	}
	return toolbox{relayd: path}, nil
}

// writeFiles writes what the flags ask for.
func writeFiles(o options, r *result) error {
	if o.json != "" {
		b, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.json, append(b, '\n'), 0o644); err != nil {
			return err
		}
	}
	if o.svg != "" {
		return os.WriteFile(o.svg, []byte(chart(r)), 0o644)
	}
	return nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
