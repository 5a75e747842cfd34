package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"relayd/cmd/relayd/internal/admin"
	"relayd/cmd/relayd/internal/screen"
)

// drainFlags are the flags of relayd drain.
type drainFlags struct {
	clientFlags
	timeout, spread timeout
	follow, quiet   bool
}

func newDrainCommand() *cobra.Command {
	var f drainFlags
	c := &cobra.Command{
		Use:   "drain",
		Short: "End a relayd when its conns have ended, and show how far it is",
		Long: `Drain makes a running relayd accept no more, wait for the conns that live, cut
those that are left when the time is up, and end. It shows the progress until the
end: as a bar on a terminal, and elsewhere as a line for each change.

Its exit code is 3 if conns were cut. Ctrl-C ends only the watching: the drain
goes on, and relayd drain --follow watches it again.`,
		Example:               "  relayd drain --drain-timeout 5m --drain-spread 30s",
		Args:                  cobra.NoArgs,
		DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, args []string) error {
			return drainAndWatch(c.Context(), &f, c.Flags(), c.OutOrStdout())
		},
	}
	f.clientFlags.add(c.Flags())
	c.Flags().Var(&f.timeout, "drain-timeout", "wait `TIME` for live conns (default as relayd was started with); 0 or off waits for ever")
	c.Flags().Var(&f.spread, "drain-spread", "and then cut those that are left one by one over `TIME`")
	c.Flags().BoolVar(&f.follow, "follow", false, "only watch a drain that is under way")
	c.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "show nothing, and wait")
	c.Flags().SortFlags = false
	// What is not given is the running relayd's business.
	for _, name := range []string{"drain-timeout", "drain-spread"} {
		c.Flags().Lookup(name).DefValue = ""
	}
	return c
}

// drainAndWatch is relayd drain.
func drainAndWatch(ctx context.Context, f *drainFlags, set *pflag.FlagSet, out io.Writer) error {
	client, err := f.open()
	if err != nil {
		return err
	}
	defer client.Close()
	if !f.follow {
		var q admin.DrainRequest
		if set.Changed("drain-timeout") {
			q.Timeout = inSeconds(f.timeout)
		}
		if set.Changed("drain-spread") {
			q.Spread = inSeconds(f.spread)
		}
		if _, err := client.Drain(ctx, q); err != nil {
			return askError(err)
		}
	}
	show := newDrainView(out, f.quiet)
	var last admin.Drain
	err = client.DrainProgress(ctx, func(d admin.Drain) {
		last = d
		show.tell(d)
	})
	show.end()
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		// It ended before it could say so.
		return &exitError{code: exitFailure, err: fmt.Errorf("relayd has ended in the middle of the drain, with %s left", count(last.Live))}
	case err != nil:
		return askError(err)
	case last.Cut > 0:
		return &exitError{code: exitCut, err: fmt.Errorf("drain: %s cut", counted(last.Cut))}
	}
	return nil
}

// counted is count with a verb.
func counted(n int) string {
	if n == 1 {
		return count(n) + " was"
	}
	return count(n) + " were"
}

func inSeconds(t timeout) *admin.Seconds {
	s := admin.Seconds(time.Duration(t).Seconds())
	return &s
}

// A drainView shows how far a drain is.
type drainView struct {
	out io.Writer
	bar *progressbar.ProgressBar // nil for lines
	off bool
}

func newDrainView(out io.Writer, quiet bool) *drainView {
	v := &drainView{out: out, off: quiet}
	if !quiet && screen.IsTerminal(out) {
		v.bar = progressbar.NewOptions(1,
			progressbar.OptionSetWriter(out),
			progressbar.OptionSetWidth(24),
			progressbar.OptionSetDescription("draining"),
			progressbar.OptionSetPredictTime(false),
			progressbar.OptionSetElapsedTime(false),
			progressbar.OptionSetTheme(progressbar.Theme{Saucer: "=", SaucerHead: ">", SaucerPadding: " ", BarStart: "[", BarEnd: "]"}),
		)
	}
	return v
}

// tell shows a step.
func (v *drainView) tell(d admin.Drain) {
	switch {
	case v.off:
	case v.bar == nil:
		fmt.Fprintln(v.out, drainLine(d))
	default:
		v.bar.Describe(fmt.Sprintf("%-52s", drainLine(d)))
		v.bar.ChangeMax(max(1, d.Began))
		v.bar.Set(max(0, min(d.Began-d.Live, max(1, d.Began))))
	}
}

// end leaves the last step where it is.
func (v *drainView) end() {
	if v.bar != nil {
		v.bar.Exit()
		fmt.Fprintln(v.out)
	}
}

// drainLine is a step in words.
func drainLine(d admin.Drain) string {
	if !d.Draining {
		return "not draining"
	}
	var b strings.Builder
	if d.Over {
		fmt.Fprintf(&b, "drained: %d of %d ended by themselves", max(0, d.Began-d.Cut), d.Began)
	} else {
		fmt.Fprintf(&b, "draining: %d of %d left", d.Live, d.Began)
	}
	if d.Cut > 0 {
		fmt.Fprintf(&b, ", %d cut", d.Cut)
	}
	if !d.Over && d.Left != nil {
		fmt.Fprintf(&b, ", for up to %v", d.Left.Duration().Round(time.Second))
	}
	return b.String()
}
