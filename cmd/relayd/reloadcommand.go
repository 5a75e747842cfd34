package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"relayd/cmd/relayd/internal/admin"
	"relayd/cmd/relayd/internal/screen"
)

// newReloadCommand returns the command relayd reload.
func newReloadCommand() *cobra.Command {
	var f clientFlags
	var q admin.ReloadRequest
	var asJSON bool
	c := &cobra.Command{
		Use:   "reload",
		Short: "Make a running relayd read its configuration file again",
		Long: `Reload makes a running relayd follow what its file says now, as HUP does, and
prints what has changed. It is all or nothing: when something is wrong with the
file, relayd goes on as before, and the errors are printed.

Live conns keep their stages, timeouts and upstream; what becomes of those of a
route that is gone is said by its on-remove.`,
		Example: `  relayd reload --dry-run
  relayd reload`,
		Args:                  cobra.NoArgs,
		DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, _ []string) error {
			return reloadCommand(c.Context(), &f, q, asJSON, c.OutOrStdout())
		},
	}
	f.add(c.Flags())
	c.Flags().BoolVar(&q.DryRun, "dry-run", false, "only say what would change: addresses are not opened")
	c.Flags().BoolVar(&asJSON, "json", false, "print what the admin API answers")
	c.Flags().SortFlags = false
	return c
}

func reloadCommand(ctx context.Context, f *clientFlags, q admin.ReloadRequest, asJSON bool, out io.Writer) error {
	client, err := f.open()
	if err != nil {
		return err
	}
	defer client.Close()
	change, err := client.Reload(ctx, q)
	var refused *admin.Error
	switch {
	case errors.As(err, &refused) && refused.Code == "bad_config":
		return &exitError{code: exitConfig, err: errors.New("nothing was changed: relayd goes on as before"), lines: plainLines(refused.Message)}
	case err != nil:
		return askError(err)
	case asJSON:
		return screen.PrintJSON(out, change)
	}
	_, err = io.WriteString(out, reloaded(&change))
	return err
}

// plainLines are lines that are safe to print.
func plainLines(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, screen.ASCII(strings.TrimSuffix(line, "\n")))
	}
	return strings.Join(lines, "\n")
}

// reloaded describes a reload: a line for each name that is not as before.
func reloaded(r *admin.Reload) string {
	if r.File == "" {
		return "there is no file: certificates were read again, and nothing else\n"
	}
	var b strings.Builder
	kept := 0
	for _, x := range []struct {
		of string
		c  *admin.Changes
	}{{"listener", &r.Listeners}, {"route", &r.Routes}, {"upstream", &r.Upstreams}} {
		kept += len(x.c.Kept)
		for _, y := range []struct {
			sign  string
			names []string
		}{{"+", x.c.Added}, {"-", x.c.Removed}, {"~", x.c.Changed}} {
			for _, name := range y.names {
				fmt.Fprintf(&b, "%s %s %s\n", y.sign, x.of, screen.ASCII(name))
			}
		}
	}
	if b.Len() == 0 {
		b.WriteString("nothing is different")
	} else {
		fmt.Fprintf(&b, "%d as before", kept)
	}
	if r.Killed > 0 {
		fmt.Fprintf(&b, ", %s killed", count(r.Killed))
	}
	if r.Draining > 0 {
		fmt.Fprintf(&b, ", %s draining", count(r.Draining))
	}
	b.WriteString("\n")
	if r.DryRun {
		b.WriteString("nothing was changed: this was a dry run\n")
	}
	return b.String()
}
