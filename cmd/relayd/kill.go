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

// killFlags are the flags of relayd kill.
type killFlags struct {
	clientFlags
	filter []string
	fin    bool
	dryRun bool
	within time.Duration
	json   bool
}

func newKillCommand() *cobra.Command {
	var f killFlags
	c := &cobra.Command{
		Use:   "kill ID… | --filter WORD=VALUE…",
		Short: "End conns, and prove it",
		Long: `Kill ends conns of a running relayd, and says what proves it: the kernel was
asked about both connections before and after, and "gone" is a connection that it
had and has no more. Peers see a reset; with --fin they get what was read for
them and a clean end, also when the command is interrupted meanwhile.

Several --filter choose the conns that meet all of them:

` + indent(admin.FilterHelp),
		Example: `  relayd kill 9x2k
  relayd kill --filter state=half-closed --filter idle-for=10m --dry-run
  relayd kill --filter client=10.0.0.0/8 --fin`,
		DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, args []string) error {
			return kill(c.Context(), &f, args, c.OutOrStdout())
		},
	}
	f.clientFlags.add(c.Flags())
	c.Flags().StringArrayVar(&f.filter, "filter", nil, "kill the conns that meet `WORD=VALUE`; repeatable")
	c.Flags().BoolVar(&f.fin, "fin", false, "let them deliver what they have read, and end cleanly")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "only say which conns it would be")
	c.Flags().DurationVar(&f.within, "within", 10*time.Second, "give up waiting for the proof after `TIME`, at most 5m")
	c.Flags().BoolVar(&f.json, "json", false, "print what the admin API answers")
	c.Flags().SortFlags = false
	return c
}

// indent moves each line to the right.
func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n  ")
}

// kill is relayd kill.
func kill(ctx context.Context, f *killFlags, ids []string, out io.Writer) error {
	q := admin.KillRequest{IDs: once(ids), DryRun: f.dryRun, Within: admin.Seconds(f.within.Seconds())}
	if f.fin {
		q.How = "fin"
	}
	switch {
	case len(ids) > 0 && len(f.filter) > 0:
		return &exitError{code: exitUsage, err: errors.New("kill takes ids or filters, not both")}
	case len(ids) == 0 && len(f.filter) == 0:
		return &exitError{code: exitUsage, err: errors.New("kill needs ids, or filters"), hint: "--filter all=true is every conn; relayd ps lists them"}
	case f.within <= 0:
		return &exitError{code: exitUsage, err: errors.New("--within is to be more than 0")}
	case len(f.filter) > 0:
		filter, err := admin.ParseFilter(f.filter...)
		if err != nil {
			return &exitError{code: exitUsage, err: err}
		}
		q.Filter = filter
	}
	client, err := f.open()
	if err != nil {
		return err
	}
	defer client.Close()
	kills, err := client.Kill(ctx, q)
	if err != nil {
		return askError(err)
	}
	if f.json {
		err = screen.PrintJSON(out, kills)
	} else {
		err = printKills(out, &kills)
	}
	if err != nil {
		return err
	}
	return killError(&kills)
}

// once has each id where it is first: who names a conn twice means one conn. (The
// API answers for each id that it is given.)
func once(ids []string) []string {
	var list []string
	for _, id := range ids {
		if !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	return list
}

// killError is what a kill that did not do all that it was to do ends with.
func killError(kills *admin.Kills) error {
	var gone, held int
	for i := range kills.Kills {
		switch k := &kills.Kills[i]; {
		case kills.DryRun || k.Released:
		case k.Client == "":
			gone++
		default:
			held++
		}
	}
	switch {
	case held > 0:
		return &exitError{code: exitFailure, err: fmt.Errorf("%s not released yet", count(held)),
			hint: "relayd inspect ID says who holds them"}
	case gone > 0:
		return &exitError{code: exitNoConn, err: fmt.Errorf("no such conn: %s of those named", count(gone)), hint: "relayd ps lists the conns that live"}
	}
	return nil
}

// printKills writes a line for each conn, and one for all if there are several.
func printKills(out io.Writer, kills *admin.Kills) error {
	var b strings.Builder
	for i := range kills.Kills {
		k := &kills.Kills[i]
		fmt.Fprintf(&b, "%s  %s  %s\n", screen.ASCII(k.ID), screen.ASCII(orDash(k.Client)), outcome(k, kills.DryRun))
		for _, h := range k.Holders {
			fmt.Fprintf(&b, "    held by %s for %v, %d calls inside\n", screen.ASCII(h.Name), h.Age.Duration().Round(time.Second), h.Operations)
		}
	}
	switch {
	case len(kills.Kills) == 0:
		b.WriteString("no conn meets the filter\n")
	case kills.DryRun:
		fmt.Fprintf(&b, "%s would be killed\n", count(kills.Matched))
	case len(kills.Kills) > 1:
		fmt.Fprintf(&b, "%s killed of %d\n", count(kills.Killed), len(kills.Kills))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// outcome says what became of one.
func outcome(k *admin.Kill, dryRun bool) string {
	switch {
	case k.Error != "":
		return screen.ASCII(k.Error)
	case dryRun:
		return "would be killed"
	case !k.Released:
		return "not released"
	}
	s := fmt.Sprintf("released in %v", k.Took.Duration().Round(10*time.Microsecond))
	for _, p := range []struct {
		name  string
		proof *admin.Proof
	}{{"client", k.ClientProof}, {"upstream", k.UpstreamProof}} {
		if p.proof == nil {
			continue
		}
		s += ", " + p.name + " " + screen.ASCII(p.proof.Kernel)
		if p.proof.Why != "" {
			s += " (" + screen.ASCII(p.proof.Why) + ")"
		}
		if n := p.proof.Unread; n > 0 {
			s += fmt.Sprintf(" with %d bytes unread", n)
		}
		if n := p.proof.Unsent; n > 0 {
			s += fmt.Sprintf(" with %d bytes not acknowledged", n)
		}
	}
	return s
}
