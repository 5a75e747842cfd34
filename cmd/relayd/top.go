package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"relayd/cmd/relayd/internal/admin"
	"relayd/cmd/relayd/internal/top"
)

func newTopCommand() *cobra.Command {
	var f clientFlags
	c := &cobra.Command{
		Use:                   "top",
		Short:                 "Watch the conns of a running relayd",
		Long:                  "Top shows the conns that live, once a second: what each moves now, how long it has\nbeen idle, and who holds it. ? explains the keys; k ends the selected conn, after a\nquestion.",
		Args:                  cobra.NoArgs,
		DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := f.open()
			if err != nil {
				return err
			}
			defer client.Close()
			if _, err := client.Conns(c.Context(), nil); err != nil {
				return askError(err)
			}
			if err := top.Run(c.Context(), topSource{client}, client.At(), os.Stdin, c.OutOrStdout()); err != nil {
				return &exitError{code: exitFailure, err: err, hint: "relayd ps lists the conns anywhere"}
			}
			return nil
		},
	}
	f.add(c.Flags())
	c.Flags().SortFlags = false
	return c
}

// A topSource is a running relayd, as top asks it.
type topSource struct{ client *admin.Client }

func (s topSource) Conns(ctx context.Context) ([]top.Conn, error) {
	list, err := s.client.Conns(ctx, nil)
	if err != nil {
		return nil, err
	}
	out := make([]top.Conn, len(list.Conns))
	for i := range list.Conns {
		c := &list.Conns[i]
		out[i] = top.Conn{
			ID: c.ID, Listener: strings.TrimPrefix(c.Listener, "tcp://"), Client: c.Client, Upstream: strings.TrimPrefix(c.Upstream, "tcp://"),
			State: c.State, Up: c.Up.In, Down: c.Down.Out, Age: c.Age.Duration(), Idle: c.Idle.Duration(), Stages: stagesOf(c),
		}
	}
	return out, nil
}

// Holders names what holds the conn: its sockets, and whatever else has a place
// below it.
func (s topSource) Holders(ctx context.Context, id string) ([]string, error) {
	d, err := s.client.Conn(ctx, id)
	if err != nil || len(d.Resources) == 0 {
		return nil, err
	}
	var names []string
	for i := range d.Resources {
		r := &d.Resources[i]
		if r.Parent == d.Resources[0].ID {
			names = append(names, fmt.Sprintf("%s (%s)", strings.TrimPrefix(r.Name, d.Resources[0].Name+"."), humanTime(r.Age.Duration())))
		}
	}
	return names, nil
}

func (s topSource) Kill(ctx context.Context, id string) (string, error) {
	kills, err := s.client.Kill(ctx, admin.KillRequest{IDs: []string{id}})
	if err != nil {
		return "", err
	}
	if len(kills.Kills) == 0 {
		return "", errors.New("the answer does not say what became of it")
	}
	k := &kills.Kills[0]
	if !k.Released {
		return "", fmt.Errorf("not released after %v: %s", k.Took.Duration().Round(time.Millisecond), outcome(k, false))
	}
	return outcome(k, false), nil
}
