package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"relayd/cmd/relayd/internal/config"
	"relayd/socket"
)

const rootLong = `Relayd relays TCP streams. It accepts connections, connects each to an upstream,
and moves bytes both ways, each direction to its own end.

Without arguments it listens on 127.0.0.1:7000 and echoes.`

const addressesLong = `Addresses are written alike for listening and dialling:

  tcp://HOST:PORT, HOST:PORT, :PORT, [::1]:PORT
                       a TCP port; without a host a listener takes all addresses
  tls://HOST:PORT      a TCP port, with TLS; a listener needs cert=FILE&key=FILE
  unix:///PATH, /PATH  a Unix socket; unix://@NAME in the abstract namespace
  fd://N               an inherited descriptor, listening or connected
  systemd://NAME       the next socket of that name from LISTEN_FDS
  exec:///PATH?arg=A   a program, with the stream as its input and output
  stdio:               our own input and output
  echo:  discard:      upstreams of memory

stdio:, exec: and a connected fd:// serve one connection when listened on, and
relayd ends with it. Options ride in the query, as in :80?nodelay=false:

`

// newAddressesTopic is a help topic: relayd help addresses.
func newAddressesTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "addresses",
		Short: "How addresses are written, and their options",
		Long:  addressesLong + socket.OptionHelp(),
	}
}

const rootExample = `  relayd                                       # an echo server to try it with
  relayd -l :8080 -t 10.0.0.5:80               # relay a port
  relayd -l /run/db.sock -t db.internal:5432   # a Unix socket in front
  relayd -l :7001 -t far:7002 --wrap zstd      # the near end of a tunnel,
  relayd -l :7002 -t db:5432 --unwrap zstd     # and the far end
  relayd -l "tls://:443?cert=c.pem&key=k.pem" -t 127.0.0.1:80   # TLS in front
  relayd -c relayd.yaml                        # what a file says`

// newRootCommand returns the whole command line.
func newRootCommand() *cobra.Command {
	root := newRunCommand("relayd", "Relay TCP streams")
	root.Long = rootLong
	root.Example = rootExample
	root.Args = noCommand
	root.SuggestionsMinimumDistance = 2
	root.SilenceErrors = true
	root.SilenceUsage = true
	root.AddCommand(newRunCommand("run", "Relay (what relayd does without a command)"), newVersionCommand(), newAddressesTopic())
	root.AddCommand(newPSCommand(), newInspectCommand(), newTopCommand(), newTapCommand(), newKillCommand(), newDrainCommand())
	root.AddCommand(newUpstreamsCommand(), newReloadCommand())
	root.AddCommand(newCheckCommand(), newConfigCommand(), newStagesCommand(), newKeygenCommand(), newConformanceCommand(), newManCommand())
	strictHelp(root)
	return root
}

// noCommand refuses arguments that are no command, and suggests one. (What cobra
// says by itself takes several lines, which an error of ours does not.)
func noCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	e := &exitError{code: exitUsage, err: fmt.Errorf("unknown command %q", args[0])}
	if near := root.SuggestionsFor(args[0]); len(near) > 0 {
		e.hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return e
}

func newRunCommand(use, short string) *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:                   use + " [flags]",
		Short:                 short,
		DisableFlagsInUseLine: true,
	}
	if use != "relayd" {
		c.Args = cobra.NoArgs
		c.Example = rootExample
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := fromEnvironment(c.Flags(), os.LookupEnv); err != nil {
			return err
		}
		read := func() (*config.Config, *config.Problems, error) {
			g := f // which configure changes
			g.listen.list = slices.Clone(f.listen.list)
			return g.configure(c.Flags())
		}
		conf, problems, err := read()
		if err != nil {
			return err
		}
		for _, p := range problems.List {
			fmt.Fprintln(c.ErrOrStderr(), p)
		}
		return run(conf, read, c.OutOrStdout(), c.ErrOrStderr())
	}
	f.add(c.Flags())
	c.Flags().SortFlags = false
	return c
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), version())
			return err
		},
	}
}

// version describes this build: the release or revision, and what it was made
// with and for.
func version() string {
	return fmt.Sprintf("relayd %s %s %s/%s", release(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// stamped is the release, in a binary that was built for a package: -ldflags -X.
var stamped string

// release returns the release or the revision that this is.
func release() string {
	if stamped != "" {
		return stamped
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
