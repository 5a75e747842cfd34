package top

import (
	"context"
	"time"
)

// A Source is where the conns come from: a running relayd. Its methods wait for
// no longer than their context.
type Source interface {
	// Conns lists the conns that live.
	Conns(ctx context.Context) ([]Conn, error)
	// Holders tells who holds a conn, by name.
	Holders(ctx context.Context, id string) ([]string, error)
	// Kill shuts a conn down, and says in a line what proves it.
	Kill(ctx context.Context, id string) (proof string, err error)
}

// A Conn is a row.
type Conn struct {
	ID, Listener, Client, Upstream, State string
	Up, Down                              int64 // bytes that the client has sent, and was sent
	Age, Idle                             time.Duration
	Stages                                string
}

// A row is a conn with what only two looks tell.
type row struct {
	Conn
	upRate, downRate float64 // bytes a second
}

// rows puts a list beside the one before it.
func rows(now, before []Conn, between time.Duration) []row {
	old := make(map[string]*Conn, len(before))
	for i := range before {
		old[before[i].ID] = &before[i]
	}
	list := make([]row, len(now))
	for i, c := range now {
		list[i].Conn = c
		since := between
		up, down := c.Up, c.Down
		if o := old[c.ID]; o != nil {
			up, down = up-o.Up, down-o.Down
		} else if before == nil || c.Age > between {
			continue // what it has moved says nothing of now
		} else {
			since = c.Age
		}
		if since > 0 {
			list[i].upRate = max(0, float64(up)/since.Seconds())
			list[i].downRate = max(0, float64(down)/since.Seconds())
		}
	}
	return list
}
