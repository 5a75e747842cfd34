package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"relayd/cmd/relayd/internal/admin"
	"relayd/cmd/relayd/internal/screen"
)

// psFlags are the flags of relayd ps.
type psFlags struct {
	clientFlags
	filter  []string
	tree    bool
	orphans bool
	json    bool
	watch   time.Duration
}

func newPSCommand() *cobra.Command {
	var f psFlags
	c := &cobra.Command{
		Use:   "ps [ID]",
		Short: "List the conns of a running relayd",
		Long: `Ps lists the conns that live, the oldest first. UP is what the client has sent, and
DOWN what it was sent; IDLE is how long nothing has moved. ROUTE is there if they
are of several. With --tree it draws what each conn is made of: who keeps a socket
open, and since when.

Several --filter list the conns that meet all of them:

` + indent(admin.FilterHelp),
		Example: `  relayd ps
  relayd ps --tree 9x2k
  relayd ps --filter state=half-closed --filter idle-for=10m
  relayd ps --orphans`,
		Args:                  cobra.MaximumNArgs(1),
		DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("watch") && f.watch <= 0 {
				return &exitError{code: exitUsage, err: errors.New("--watch is to be more than 0")}
			}
			return watchHint(&f, args, ps(c.Context(), &f, args, c.OutOrStdout()))
		},
	}
	f.clientFlags.add(c.Flags())
	c.Flags().StringArrayVar(&f.filter, "filter", nil, "only the conns that meet `WORD=VALUE`; repeatable")
	c.Flags().BoolVar(&f.tree, "tree", false, "draw the resources of the conns as trees")
	c.Flags().BoolVar(&f.orphans, "orphans", false, "draw the resources whose owner has gone and that others hold, and who holds them")
	c.Flags().BoolVar(&f.json, "json", false, "print what the admin API answers")
	c.Flags().DurationVar(&f.watch, "watch", 0, "list again every `TIME`, 2s if none is given")
	c.Flags().Lookup("watch").NoOptDefVal = "2s"
	c.Flags().SortFlags = false
	return c
}

// ps is relayd ps.
func ps(ctx context.Context, f *psFlags, args []string, out io.Writer) error {
	filter, err := admin.ParseFilter(f.filter...)
	switch {
	case err != nil:
		return &exitError{code: exitUsage, err: err}
	case len(args) > 0 && len(f.filter) > 0:
		return &exitError{code: exitUsage, err: errors.New("ps takes an id or filters, not both")}
	case f.orphans && (len(args) > 0 || len(f.filter) > 0 || f.tree):
		return &exitError{code: exitUsage, err: errors.New("--orphans is about all resources: it goes with --json and --watch only")}
	}
	client, err := f.open()
	if err != nil {
		return err
	}
	defer client.Close()
	ask := func(to io.Writer) error {
		switch {
		case f.orphans:
			return psOrphans(ctx, client, f, to)
		case f.tree || len(args) > 0:
			return psTrees(ctx, client, f, filter, args, to)
		}
		return psTable(ctx, client, f, filter, to)
	}
	if f.watch == 0 {
		return ask(out)
	}
	return watchList(ctx, f.watch, out, ask)
}

// watchHint tells who wrote --watch 5s, which asks for the conn 5s, what was meant.
// It cannot be told before, as ids may be like times.
func watchHint(f *psFlags, args []string, err error) error {
	var e *exitError
	if f.watch == 0 || len(args) == 0 || !errors.As(err, &e) || e.code != exitNoConn {
		return err
	}
	if _, bad := time.ParseDuration(args[0]); bad == nil {
		e.hint = "if that is how often to list, write --watch=" + args[0]
	}
	return e
}

// watchList lists again and again. On a terminal each list takes the place of the
// one before.
func watchList(ctx context.Context, every time.Duration, out io.Writer, ask func(io.Writer) error) error {
	const home, clearBelow, clearLine = "\x1b[H", "\x1b[J", "\x1b[K\n"
	tick := time.NewTicker(every)
	defer tick.Stop()
	terminal := screen.IsTerminal(out)
	if terminal {
		io.WriteString(out, "\x1b[2J")
	}
	for {
		var b strings.Builder
		if err := ask(&b); err != nil {
			return err
		}
		text := b.String()
		if terminal {
			text = home + strings.ReplaceAll(text, "\n", clearLine) + clearBelow
		} else {
			text += "\n"
		}
		if _, err := io.WriteString(out, text); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// psTable prints a line for each conn.
func psTable(ctx context.Context, client *admin.Client, f *psFlags, filter *admin.Filter, out io.Writer) error {
	list, err := client.Conns(ctx, filter)
	if err != nil {
		return askError(err)
	}
	if f.json {
		return screen.PrintJSON(out, list)
	}
	_, err = io.WriteString(out, connTable(&list))
	return err
}

// connTable lays the conns out, each column as wide as it has to be. The columns
// that say who it is and how it is come first: they fit into 80 columns. Where
// there is one route, it is not worth one.
func connTable(list *admin.Conns) string {
	if len(list.Conns) == 0 {
		if list.Total == 0 {
			return "no conns\n"
		}
		return fmt.Sprintf("no conn of %d meets the filter\n", list.Total)
	}
	routed := slices.ContainsFunc(list.Conns, func(c admin.Conn) bool { return c.Route != list.Conns[0].Route })
	row := func(most []string, route, stages string) []string {
		if routed {
			most = append(most, route)
		}
		return append(most, stages)
	}
	t := table{row([]string{"ID", "STATE", "AGE", "IDLE", "UP", "DOWN", "CLIENT", "UPSTREAM"}, "ROUTE", "STAGES")}
	for i := range list.Conns {
		c := &list.Conns[i]
		t = append(t, row([]string{
			screen.ASCII(c.ID), screen.ASCII(c.State), humanTime(c.Age.Duration()), humanTime(c.Idle.Duration()),
			humanSize(c.Up.In), humanSize(c.Down.Out), screen.ASCII(c.Client), screen.ASCII(strings.TrimPrefix(c.Upstream, "tcp://")),
		}, screen.ASCII(c.Route), stagesOf(c)))
	}
	return t.String()
}

// stagesOf writes the stages of both directions as one text.
func stagesOf(c *admin.Conn) string {
	var parts []string
	if len(c.Up.Stages) > 0 {
		parts = append(parts, "up "+screen.ASCII(strings.Join(c.Up.Stages, ",")))
	}
	if len(c.Down.Stages) > 0 {
		parts = append(parts, "down "+screen.ASCII(strings.Join(c.Down.Stages, ",")))
	}
	return strings.Join(parts, ", ")
}

// psTrees draws one conn, or those that a filter lets through.
func psTrees(ctx context.Context, client *admin.Client, f *psFlags, filter *admin.Filter, ids []string, out io.Writer) error {
	if len(ids) == 0 {
		list, err := client.Conns(ctx, filter)
		if err != nil {
			return askError(err)
		}
		if len(list.Conns) == 0 && !f.json {
			_, err := io.WriteString(out, connTable(&list))
			return err
		}
		for _, c := range list.Conns {
			ids = append(ids, c.ID)
		}
	}
	several := len(ids) > 1
	for _, id := range ids {
		d, err := client.Conn(ctx, id)
		var gone *admin.Error
		if several && errors.As(err, &gone) && gone.Code == "no_such_conn" {
			continue // it has ended since it was listed
		}
		if err != nil {
			return askError(err)
		}
		if f.json {
			err = screen.PrintJSON(out, d)
		} else {
			_, err = io.WriteString(out, connTree(&d))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// psOrphans draws what nobody owns any more, with those that hold it.
func psOrphans(ctx context.Context, client *admin.Client, f *psFlags, out io.Writer) error {
	all, err := client.Resources(ctx, f.json)
	if err != nil {
		return askError(err)
	}
	if f.json {
		return screen.PrintJSON(out, all)
	}
	_, err = io.WriteString(out, orphanTrees(all.Resources))
	return err
}
