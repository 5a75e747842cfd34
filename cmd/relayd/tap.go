package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"relayd/cmd/relayd/internal/admin"
	"relayd/cmd/relayd/internal/screen"
	"relayd/cmd/relayd/internal/tap"
)

// tapFlags are the flags of relayd tap.
type tapFlags struct {
	clientFlags
	at     string
	text   bool
	pcapng string
}

func newTapCommand() *cobra.Command {
	var f tapFlags
	c := &cobra.Command{
		Use:   "tap ID",
		Short: "Follow what a conn carries",
		Long: `Tap shows what a conn carries from now on, to its end: bytes and text, both
directions, with their times. The conn never waits for it; what tap is too slow
for is counted, and left out. Its bytes are not spliced as long as it is watched.

With stages in the way, --at plain is where the bytes are as the programs at both
ends mean them, and --at wire is the other side; --at client and --at upstream
name the side.

--pcapng writes a capture instead, which Wireshark and tshark read as one TCP
stream with both directions; the packets' headers are made up.`,
		Example: `  relayd tap 9x2k
  relayd tap 9x2k --pcapng - | tshark -r - -q -z follow,tcp,ascii,0`,
		Args:                  cobra.ExactArgs(1),
		DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return follow(ctx, &f, args[0], c.OutOrStdout())
		},
	}
	f.clientFlags.add(c.Flags())
	c.Flags().StringVar(&f.at, "at", "plain", "watch at `PLACE`: "+strings.Join(admin.TapPlaces, ", "))
	c.Flags().BoolVar(&f.text, "text", false, "show only the text")
	c.Flags().StringVar(&f.pcapng, "pcapng", "", "write a capture to `FILE`, - for standard output, and show nothing")
	c.Flags().SortFlags = false
	return c
}

// A viewer is told what a tap sees.
type viewer interface{ event(tap.Event) error }

// follow is relayd tap. Whoever interrupts it has seen enough.
func follow(ctx context.Context, f *tapFlags, id string, out io.Writer) error {
	if !slices.Contains(admin.TapPlaces, f.at) {
		return &exitError{code: exitUsage, err: fmt.Errorf("--at %s: a tap is at %s", f.at, strings.Join(admin.TapPlaces, ", "))}
	}
	if f.pcapng == "-" && screen.IsTerminal(out) {
		return &exitError{code: exitUsage, err: errors.New("a capture is not for a terminal: give --pcapng a file, or put a program behind it")}
	}
	client, err := f.open()
	if err != nil {
		return err
	}
	defer client.Close()
	stream, err := client.Tap(ctx, id, f.at)
	if err != nil {
		return askError(err)
	}
	defer stream.Close()
	r, err := tap.NewReader(stream)
	if err != nil {
		return tapError(ctx, err)
	}
	view, err := f.viewer(r.Header, out)
	if err != nil {
		return err
	}
	err = copyEvents(ctx, r, view.event)
	if c, ok := view.(io.Closer); ok {
		if cerr := c.Close(); err == nil {
			err = cerr
		}
	}
	return err
}

// copyEvents passes all events on.
func copyEvents(ctx context.Context, r *tap.Reader, to func(tap.Event) error) error {
	for {
		e, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return tapError(ctx, err)
		}
		if err := to(e); err != nil {
			return err
		}
	}
}

// tapError is what a stream that was cut means: nothing, if we did that.
func tapError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &exitError{code: exitFailure, err: errors.New("relayd has ended the tap before the conn has ended")}
	}
	return &exitError{code: exitFailure, err: err}
}

// viewer returns who shows what is seen, or keeps it.
func (f *tapFlags) viewer(h tap.Header, out io.Writer) (viewer, error) {
	if f.pcapng == "" {
		p := tap.NewPrinter(out, tap.Look{Width: screen.Width(out), Text: f.text, Colour: screen.PaletteFor(out), ASCII: !screen.ShowsUnicode()})
		return printed{p}, p.Header(h)
	}
	c := captured{file: nopCloser{out}}
	if f.pcapng != "-" {
		file, err := os.OpenFile(f.pcapng, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600) // as the stage pcapng has it
		if err != nil {
			return nil, &exitError{code: exitFailure, err: err}
		}
		c.file = file
	}
	var err error
	if c.capture, err = tap.NewCapture(c.file, h, time.Now()); err != nil {
		c.file.Close()
		return nil, &exitError{code: exitFailure, err: err}
	}
	return c, nil
}

type printed struct{ *tap.Printer }

func (p printed) event(e tap.Event) error { return p.Event(e) }

type captured struct {
	capture *tap.Capture
	file    io.WriteCloser
}

func (c captured) event(e tap.Event) error { return c.capture.Add(e) }
func (c captured) Close() error            { return c.file.Close() }

// A nopCloser is somebody else's to close.
type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
