package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"relayd/cmd/relayd/internal/admin"
	"relayd/cmd/relayd/internal/screen"
)

func newInspectCommand() *cobra.Command {
	var f struct {
		clientFlags
		json bool
	}
	c := &cobra.Command{
		Use:                   "inspect ID",
		Short:                 "Say why a conn is still open",
		Long:                  "Inspect says in sentences why a conn is still open: what each direction waits for,\nwho holds what, and which timer will end it; then what it is made of, and what the\nkernel says of both its sockets.",
		Args:                  cobra.ExactArgs(1),
		DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, args []string) error {
			return inspect(c.Context(), &f.clientFlags, args[0], f.json, c.OutOrStdout())
		},
	}
	f.clientFlags.add(c.Flags())
	c.Flags().BoolVar(&f.json, "json", false, "print what the admin API answers")
	c.Flags().SortFlags = false
	return c
}

// inspect is relayd inspect.
func inspect(ctx context.Context, f *clientFlags, id string, asJSON bool, out io.Writer) error {
	client, err := f.open()
	if err != nil {
		return err
	}
	defer client.Close()
	d, err := client.Conn(ctx, id)
	if err != nil {
		return askError(err)
	}
	if asJSON {
		return screen.PrintJSON(out, d)
	}
	_, err = io.WriteString(out, inspection(&d))
	return err
}

// inspection is what inspect says.
func inspection(d *admin.ConnDetail) string {
	var b strings.Builder
	for _, s := range d.Why {
		b.WriteString(strings.Join(wrap(screen.Clean(s), textWidth-2), "\n  ") + "\n")
	}
	b.WriteString("\n" + connTree(d))
	t := table{{"", "CLIENT", "UPSTREAM"}}
	for _, fact := range socketFacts {
		row := []string{fact.name, fact.of(d.ClientEnd), fact.of(d.UpstreamEnd)}
		if row[1] != "" || row[2] != "" {
			t = append(t, row)
		}
	}
	if len(t) > 1 {
		b.WriteString("\n" + t.String())
	}
	return b.String()
}

// socketFacts are what is known of each of the two sockets.
var socketFacts = []struct {
	name string
	of   func(*admin.Socket) string
}{
	{"local", func(s *admin.Socket) string { return ofSocket(s, func() string { return screen.ASCII(s.Local) }) }},
	{"remote", func(s *admin.Socket) string { return ofSocket(s, func() string { return screen.ASCII(s.Remote) }) }},
	{"state", func(s *admin.Socket) string {
		return ofTCP(s, func(t *admin.TCP) string { return screen.ASCII(t.State) })
	}},
	{"not acknowledged", func(s *admin.Socket) string {
		return ofTCP(s, func(*admin.TCP) string { return humanSize(int64(s.Unsent)) })
	}},
	{"acknowledged", func(s *admin.Socket) string {
		return ofTCP(s, func(t *admin.TCP) string { return humanSize(int64(t.Sent)) })
	}},
	{"received", func(s *admin.Socket) string {
		return ofTCP(s, func(t *admin.TCP) string { return humanSize(int64(t.Received)) })
	}},
	{"round trip", func(s *admin.Socket) string {
		return ofTCP(s, func(t *admin.TCP) string { return fmt.Sprintf("%v", t.RTT.Duration()) })
	}},
	{"retransmitted", func(s *admin.Socket) string {
		return ofTCP(s, func(t *admin.TCP) string { return fmt.Sprintf("%d segments", t.Retransmits) })
	}},
}

func ofSocket(s *admin.Socket, f func() string) string {
	if s == nil {
		return ""
	}
	return f()
}

func ofTCP(s *admin.Socket, f func(*admin.TCP) string) string {
	if s == nil || s.TCP == nil {
		return ""
	}
	return f(s.TCP)
}
