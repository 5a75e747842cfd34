package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"relayd/cmd/relayd/internal/admin"
	"relayd/cmd/relayd/internal/screen"
	"relayd/relay"
)

// editFlags are the flags of relayd stages add, set and rm.
type editFlags struct {
	clientFlags
	route  string
	conns  []string
	filter []string
	live   bool
	kill   bool
	dryRun bool
	within time.Duration
	json   bool
}

const editLong = `
It changes what the conns go through that are accepted from now on; with --live
those that live, too; with --conn or --filter only those, and no route. What a
live conn has on its way goes through the old stages before, so nothing is lost,
doubled or passes another. Stages that encode or decode cannot come or go in a
conn that relays already: its far end could not follow.

How far a cut, a stall or the damage of corrupt is, and whether a stage with p=
acts, is the conn's, and stays when another stage changes. A stall lets go.

A conn whose peer takes nothing, or in which a stage holds bytes back, cannot
change at once. After --within it is left to change when it can, or, with
--kill-blocked, killed.`

// newEditCommands returns relayd stages add, set and rm.
func newEditCommands() []*cobra.Command {
	return []*cobra.Command{newAddCommand(), newSetCommand(), newRemoveCommand()}
}

func newAddCommand() *cobra.Command {
	var place string
	c := editCommand("add up|down STAGE", 2, func(q *admin.StagesRequest, args []string) {
		q.Stage, q.At = args[1], place
	})
	c.Short = "Add a stage to a running relay"
	c.Long = "Add puts a stage into a chain of a running relayd.\n" + editLong
	c.Example = `  relayd stages add down limit:1MiB/s
  relayd stages add up delay:100ms --live
  relayd stages add down hexdump --conn 9x2k --at wire`
	c.Flags().StringVar(&place, "at", "plain", "put it at `PLACE`: first, last, plain, wire, or before a stage, by its number or name")
	return c
}

func newSetCommand() *cobra.Command {
	c := editCommand("set up|down WHICH STAGE", 3, func(q *admin.StagesRequest, args []string) {
		q.At, q.Stage = args[1], args[2]
	})
	c.Short = "Put a stage in place of another one"
	c.Long = "Set puts a stage in place of the one that WHICH calls: by its number from 1, or\nby its name.\n" + editLong
	c.Example = "  relayd stages set down limit limit:2MiB/s --live"
	return c
}

func newRemoveCommand() *cobra.Command {
	c := editCommand("rm up|down WHICH", 2, func(q *admin.StagesRequest, args []string) { q.At = args[1] })
	c.Short = "Remove a stage from a running relay"
	c.Long = "Rm removes the stage that WHICH calls: by its number from 1, or by its name.\n" + editLong
	c.Example = "  relayd stages rm down limit --live"
	return c
}

// editCommand makes one of the three: fill takes its arguments.
func editCommand(use string, arguments int, fill func(*admin.StagesRequest, []string)) *cobra.Command {
	var f editFlags
	c := &cobra.Command{
		Use:                   use + " [--route NAME] [--live | --conn ID… | --filter WORD=VALUE…]",
		DisableFlagsInUseLine: true,
		Args:                  cobra.ExactArgs(arguments),
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		q := admin.StagesRequest{Op: c.Name(), Direction: args[0]}
		fill(&q, args)
		return editStages(c.Context(), &f, q, c.OutOrStdout())
	}
	f.clientFlags.add(c.Flags())
	c.Flags().StringVar(&f.route, "route", relay.DefaultName, "change the route `NAME`")
	c.Flags().StringSliceVar(&f.conns, "conn", nil, "change the conn `ID`; repeatable")
	c.Flags().StringArrayVar(&f.filter, "filter", nil, "change the conns that meet `WORD=VALUE`; repeatable")
	c.Flags().BoolVar(&f.live, "live", false, "change the conns that live, too")
	c.Flags().DurationVar(&f.within, "within", 5*time.Second, "wait for each no longer than `TIME`, at most 5m")
	c.Flags().BoolVar(&f.kill, "kill-blocked", false, "kill the conns that have not changed by then")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "only say what it would be")
	c.Flags().BoolVar(&f.json, "json", false, "print what the admin API answers")
	c.Flags().SortFlags = false
	return c
}

// editStages asks for a change, and says what became of it.
func editStages(ctx context.Context, f *editFlags, q admin.StagesRequest, out io.Writer) error {
	q.IDs, q.Live, q.Kill, q.DryRun, q.Within = once(f.conns), f.live, f.kill, f.dryRun, admin.Seconds(f.within.Seconds())
	switch {
	case len(f.conns) > 0 && len(f.filter) > 0:
		return &exitError{code: exitUsage, err: errors.New("it takes --conn or --filter, not both")}
	case f.route != relay.DefaultName && len(f.conns)+len(f.filter) > 0:
		return &exitError{code: exitUsage, err: errors.New("it takes --route, or --conn or --filter, not both")}
	case f.kill && !f.live && len(f.conns)+len(f.filter) == 0:
		return &exitError{code: exitUsage, err: errors.New("--kill-blocked is of conns that live: it takes --live, --conn or --filter")}
	case f.within <= 0:
		return &exitError{code: exitUsage, err: errors.New("--within is to be more than 0")}
	case len(f.filter) > 0:
		filter, err := admin.ParseFilter(f.filter...)
		if err != nil {
			return &exitError{code: exitUsage, err: err}
		}
		q.Filter = filter
	case len(f.conns) == 0:
		q.Route = f.route
	}
	client, err := f.open()
	if err != nil {
		return err
	}
	defer client.Close()
	change, err := client.Stages(ctx, q)
	if err != nil {
		return askError(err)
	}
	if f.json {
		err = screen.PrintJSON(out, change)
	} else {
		_, err = io.WriteString(out, changed(&change))
	}
	if err != nil {
		return err
	}
	return changeError(&change, len(f.conns) > 0)
}

// changed describes a change: the route, and each conn.
func changed(change *admin.StagesChange) string {
	var b strings.Builder
	if r := change.Route; r != nil {
		fmt.Fprintf(&b, "route %s: %s\n", screen.ASCII(r.Name), screen.ASCII(chains(r.Up, r.Down)))
	}
	for i := range change.Conns {
		c := &change.Conns[i]
		what := chains(c.Up, c.Down)
		switch {
		case c.Killed:
			what = "killed: " + c.Error
		case c.Error != "":
			what = c.Error
		}
		fmt.Fprintf(&b, "%s  %s\n", screen.ASCII(c.ID), screen.ASCII(what))
	}
	if n := len(change.Conns); n > 1 {
		fmt.Fprintf(&b, "%s changed of %d\n", count(change.Changed), n)
	}
	if change.DryRun {
		b.WriteString("nothing was changed: this was a dry run\n")
	}
	return b.String()
}

// chains writes both directions.
func chains(up, down []string) string {
	part := func(name string, chain []string) string {
		if len(chain) == 0 {
			return name + " without stages"
		}
		return name + " " + strings.Join(chain, ",")
	}
	return part("up", up) + ", " + part("down", down)
}

// changeError is what a change that not all conns have made ends with. Those that
// were named by their ids may not be there at all.
func changeError(change *admin.StagesChange, named bool) error {
	missing, gone := len(change.Conns)-change.Changed, 0
	for i := range change.Conns {
		if change.Conns[i].Error == relay.ErrNoConn.Error() {
			gone++
		}
	}
	switch {
	case missing <= 0:
		return nil
	case named && gone == missing:
		return &exitError{code: exitNoConn, err: fmt.Errorf("no such conn: %s of those named", count(gone)), hint: "relayd ps lists the conns that live"}
	}
	return &exitError{code: exitFailure, err: fmt.Errorf("%s not changed, or not yet", count(missing))}
}
