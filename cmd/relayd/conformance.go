package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"relayd/cmd/relayd/internal/conformance"
)

const conformanceLong = `Run the drop-order matrix: what becomes of a connection when its parent and its
halves are dropped, used, shut down and lost, in every order, under each drop
policy. It runs over a model and over real sockets of this machine, and takes
less than a minute. The exit code is 1 if a cell differs from what it must be.`

const conformanceExample = `  relayd conformance
  relayd conformance --row 9 --row 46 --kind tcp4
  relayd conformance --json > matrix.json
  relayd conformance --html matrix.html`

// conformanceFlags are the flags of relayd conformance.
type conformanceFlags struct {
	json   bool
	html   string
	rounds int
	kinds  []string
	rows   []int
}

func newConformanceCommand() *cobra.Command {
	var f conformanceFlags
	c := &cobra.Command{
		Use:                   "conformance [flags]",
		Short:                 "Show what each drop policy does, on this machine",
		Long:                  conformanceLong,
		Example:               conformanceExample,
		Args:                  cobra.NoArgs,
		DisableFlagsInUseLine: true,
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		return f.run(c)
	}
	set := c.Flags()
	set.BoolVar(&f.json, "json", false, "print the result as JSON")
	set.StringVar(&f.html, "html", "", "also write the result to `FILE`, as a page that stands by itself")
	set.IntVar(&f.rounds, "rounds", 200, "repeat the cells that race `N` times")
	set.StringSliceVar(&f.kinds, "kind", nil, "run over `KIND` only, repeatable: "+strings.Join(conformance.Kinds(), ", "))
	set.IntSliceVar(&f.rows, "row", nil, "run the row with this `NUMBER` only, repeatable")
	set.SortFlags = false
	return c
}

// run runs the matrix and says what came of it.
func (f *conformanceFlags) run(c *cobra.Command) error {
	if f.rounds < 1 {
		return fmt.Errorf("--rounds %d: it takes at least 1", f.rounds)
	}
	r, err := conformance.Run(c.Context(), conformance.Options{
		Rounds: f.rounds, Kinds: f.kinds, Rows: f.rows, Version: version(),
	})
	if err != nil {
		return err
	}
	if err := f.write(r, c.OutOrStdout()); err != nil {
		return &exitError{code: exitFailure, err: err}
	}
	if r.Failed > 0 {
		return &exitError{code: exitFailure, err: fmt.Errorf("conformance: %d of %d cells differ", r.Failed, r.Failed+r.Passed)}
	}
	return nil
}

// write writes the result in the forms that were asked for.
func (f *conformanceFlags) write(r *conformance.Result, stdout io.Writer) error {
	if f.html != "" {
		var page bytes.Buffer
		if err := r.WriteHTML(&page); err != nil {
			return err
		}
		if err := writeWhole(f.html, page.Bytes()); err != nil {
			return err
		}
	}
	if f.json {
		return r.WriteJSON(stdout)
	}
	return r.WriteTable(stdout, colour(stdout))
}

// writeWhole writes a file, whole or not at all.
func writeWhole(path string, data []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	if e := temp.Chmod(0o644); err == nil {
		err = e
	}
	if e := temp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		os.Remove(temp.Name())
	}
	return err
}
