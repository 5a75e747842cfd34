package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"relayd/cmd/relayd/internal/admin"
	"relayd/cmd/relayd/internal/screen"
	"relayd/relay/upstream"
)

// upstreamFlags are the flags of relayd upstreams and of what is below it.
type upstreamFlags struct {
	clientFlags
	json   bool
	dryRun bool
}

// newUpstreamsCommand returns the command relayd upstreams.
func newUpstreamsCommand() *cobra.Command {
	var f upstreamFlags
	c := &cobra.Command{
		Use:   "upstreams",
		Short: "List the upstreams of a running relayd, or put their targets up or down",
		Long: `Upstreams lists the targets of a running relayd, a line for each of their
addresses: its state, for how long, and why. FAILED is how many dials have failed.`,
		Example: `  relayd upstreams
  relayd upstreams drain db/one
  relayd upstreams up db/one`,
		Args:                  cobra.NoArgs,
		DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, _ []string) error {
			return listUpstreams(c.Context(), &f, c.OutOrStdout())
		},
	}
	f.clientFlags.add(c.Flags())
	c.Flags().BoolVar(&f.json, "json", false, "print what the admin API answers")
	c.Flags().SortFlags = false
	c.AddCommand(
		newTargetCommand("up", "Leave a target to its checks and dials again", "Up ends what was done by hand, and an ejection."),
		newTargetCommand("down", "Take a target down", "Down makes a target get no more conns. Those that it has meet the upstream's\non-down."),
		newTargetCommand("drain", "Send a target no more conns", "Drain makes a target get no more conns. Those that it has go on."),
	)
	return c
}

func newTargetCommand(state, short, long string) *cobra.Command {
	var f upstreamFlags
	c := &cobra.Command{
		Use:                   state + " UPSTREAM/TARGET",
		Short:                 short,
		Long:                  long + "\nIt stays so over reloads, until it is put up.",
		Example:               "  relayd upstreams " + state + " db/one",
		Args:                  cobra.ExactArgs(1),
		DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, args []string) error {
			return setTarget(c.Context(), &f, args[0], state, c.OutOrStdout())
		},
	}
	f.clientFlags.add(c.Flags())
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "only say how the target is")
	c.Flags().BoolVar(&f.json, "json", false, "print what the admin API answers")
	c.Flags().SortFlags = false
	return c
}

func listUpstreams(ctx context.Context, f *upstreamFlags, out io.Writer) error {
	client, err := f.open()
	if err != nil {
		return err
	}
	defer client.Close()
	list, err := client.Upstreams(ctx)
	if err != nil {
		return askError(err)
	}
	if f.json {
		return screen.PrintJSON(out, list)
	}
	t := memberTable()
	for i := range list.Upstreams {
		u := &list.Upstreams[i]
		for k := range u.Members {
			t = append(t, memberRow(u.Name, &u.Members[k]))
		}
		for _, n := range u.Names {
			if n.Addresses == 0 {
				t = append(t, []string{screen.ASCII(u.Name), screen.ASCII(n.Target), screen.ASCII(n.Host), "no address", "", "", "", "", "", screen.ASCII(n.Err)})
			}
		}
	}
	_, err = io.WriteString(out, t.String())
	return err
}

func setTarget(ctx context.Context, f *upstreamFlags, what, state string, out io.Writer) error {
	name, target, ok := strings.Cut(what, "/") // a target's name may have more of them: unix:///run/x
	if !ok || name == "" || target == "" {
		return &exitError{code: exitUsage, err: fmt.Errorf("%q is not UPSTREAM/TARGET", what), hint: "relayd upstreams lists both"}
	}
	client, err := f.open()
	if err != nil {
		return err
	}
	defer client.Close()
	got, err := client.SetTarget(ctx, name, target, admin.TargetRequest{State: state, DryRun: f.dryRun})
	var refused *admin.Error
	switch {
	case errors.As(err, &refused) && refused.Code == "no_such_target":
		return &exitError{code: exitUsage, err: err, hint: "relayd upstreams lists what there is"}
	case err != nil:
		return askError(err)
	case f.json:
		return screen.PrintJSON(out, got)
	}
	t := memberTable()
	for i := range got.Members {
		t = append(t, memberRow(got.Upstream, &got.Members[i]))
	}
	text := t.String()
	if f.dryRun {
		text += "nothing was changed: this was a dry run\n"
	}
	_, err = io.WriteString(out, text)
	return err
}

func memberTable() table {
	return table{{"UPSTREAM", "TARGET", "ADDRESS", "STATE", "SINCE", "CONNS", "WEIGHT", "TOTAL", "FAILED", "WHY"}}
}

// memberRow is a line about an address of a target.
func memberRow(name string, m *upstream.MemberStatus) []string {
	conns := strconv.Itoa(m.Conns)
	if m.MaxConns > 0 {
		conns += "/" + strconv.Itoa(m.MaxConns)
	}
	why := m.Why
	if why == "" && m.CheckErr != "" {
		why = "check: " + m.CheckErr
	}
	return []string{
		screen.ASCII(name), screen.ASCII(m.Target), screen.ASCII(strings.TrimPrefix(m.Address, "tcp://")), m.State.String(),
		humanTime(max(0, time.Since(m.Since))), conns, strconv.FormatFloat(m.Weight, 'g', 3, 64),
		strconv.FormatUint(m.Total, 10), strconv.FormatUint(m.Failures, 10), screen.ASCII(why),
	}
}
