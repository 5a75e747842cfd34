package admin

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"relayd/relay"
)

// Stages are added, set and removed: on the route, in all conns, and in some.
func TestStages(t *testing.T) {
	r := start(t)
	check(t, r.client)
	c, info := r.one(t)
	ask := func(q StagesRequest) StagesChange {
		t.Helper()
		change, err := r.client.Stages(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return change
	}
	change := ask(StagesRequest{Op: "add", Direction: "up", Stage: "count", DryRun: true, Live: true, Route: relay.DefaultName})
	if !slices.Equal(change.Route.Up, []string{"count"}) || len(change.Conns) != 1 || !slices.Equal(change.Conns[0].Up, []string{"count"}) {
		t.Errorf("what it would be: %+v", change)
	}
	if routes, err := r.client.Routes(t.Context()); err != nil || len(routes.Routes) != 1 || len(routes.Routes[0].Up) != 0 || routes.Routes[0].Conns != 1 {
		t.Errorf("after a dry run the routes are %+v, %v", routes, err)
	}
	change = ask(StagesRequest{Op: "add", Direction: "up", Stage: "count"})
	if !slices.Equal(change.Route.Up, []string{"count"}) || len(change.Conns) != 0 {
		t.Errorf("the route: %+v", change)
	}
	if d := r.detail(t, info.ID); len(d.Up.Stages) != 0 {
		t.Errorf("the conn that lived has %v", d.Up.Stages)
	}
	change = ask(StagesRequest{Op: "add", Direction: "down", Stage: "count", IDs: []string{info.ID, "nobody"}})
	if change.Route != nil || change.Changed != 1 || !slices.Equal(change.Conns[0].Down, []string{"count"}) || change.Conns[1].Error == "" {
		t.Errorf("two conns, of which one is: %+v", change)
	}
	io.WriteString(c, "more")
	if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	if f := r.detail(t, info.ID).Down.Flows; len(f) != 1 || f[0].In != 4 || f[0].Out != 4 || f[0].Since == nil {
		t.Errorf("through it went %+v", f)
	}
	all, err := ParseFilter("all=true")
	if err != nil {
		t.Fatal(err)
	}
	change = ask(StagesRequest{Op: "rm", Direction: "down", At: "1", Filter: all})
	if change.Changed != 1 || len(change.Conns[0].Down) != 0 {
		t.Errorf("removed: %+v", change)
	}
	if _, err := r.client.Stages(t.Context(), StagesRequest{Op: "rm", Direction: "up", At: "gzip"}); !isCode(err, "no_such_stage") {
		t.Errorf("removing what is not there: %v", err)
	}
}

// What makes no sense is refused, and changes nothing.
func TestStagesStrict(t *testing.T) {
	r := start(t)
	_, info := r.one(t)
	all, _ := ParseFilter("all=true")
	for name, q := range map[string]StagesRequest{
		"op=":                  {Direction: "up", Stage: "count"},
		"direction=":           {Op: "add", Stage: "count"},
		"needs a stage":        {Op: "add", Direction: "up"},
		"unknown stage":        {Op: "add", Direction: "up", Stage: "gzpi"},
		"takes no stage":       {Op: "rm", Direction: "up", Stage: "count", At: "1"},
		"needs to know":        {Op: "set", Direction: "up", Stage: "count"},
		"ids or a filter":      {Op: "add", Direction: "up", Stage: "count", IDs: []string{info.ID}, Filter: all},
		"for a route, or":      {Op: "add", Direction: "up", Stage: "count", IDs: []string{info.ID}, Route: relay.DefaultName},
		"live changes all":     {Op: "add", Direction: "up", Stage: "count", IDs: []string{info.ID}, Live: true},
		"there is no route":    {Op: "add", Direction: "up", Stage: "count", Route: "other"},
		"may take up to 5m0s":  {Op: "add", Direction: "up", Stage: "count", Within: 301},
		"may take up to 5m0s ": {Op: "add", Direction: "up", Stage: "count", Within: -1},
	} {
		_, err := r.client.Stages(t.Context(), q)
		if !isCode(err, "bad_request") || !strings.Contains(err.Error(), strings.TrimSpace(name)) {
			t.Errorf("%+v: %v, want %q", q, err, name)
		}
	}
	if up, down, _ := r.relay.Chains(relay.DefaultName); len(up)+len(down) > 0 || len(r.detail(t, info.ID).Up.Stages) > 0 {
		t.Error("something has changed")
	}
}

// A conn that cannot change in time does not hold the answer up. It changes later,
// or is killed if that is asked for.
func TestStagesBlocked(t *testing.T) {
	r := start(t)
	info := r.stuck(t)
	ids := []string{info.ID}
	rm := StagesRequest{Op: "rm", Direction: "down", At: "exec", IDs: ids, Within: 0.2}
	if change, err := r.client.Stages(t.Context(), rm); err != nil || change.Changed != 0 || !change.Conns[0].Blocked || change.Conns[0].Error == "" {
		t.Errorf("%+v, %v; want a conn that is blocked", change, err)
	}
	again := StagesRequest{Op: "add", Direction: "down", Stage: "count", IDs: ids, Within: 0.2, Kill: true}
	if change, err := r.client.Stages(t.Context(), again); err != nil || change.Changed != 0 || !change.Conns[0].Killed {
		t.Errorf("%+v, %v; want a conn that was killed", change, err)
	}
	if _, err := r.client.Conn(t.Context(), info.ID); !isCode(err, "no_such_conn") {
		t.Errorf("after it was killed: %v", err)
	}
}

// Conns that cannot change take no time away from others, however many they are: who
// lets go changes, and is not killed because there was no time left to look.
func TestStagesBesideBlocked(t *testing.T) {
	r := start(t)
	stuck := r.stuck(t)
	for _, kill := range []bool{false, true} {
		var well []string
		for range 3 {
			r.dial(t)
		}
		for _, c := range r.relay.Conns() {
			if c.ID != stuck.ID {
				well = append(well, c.ID)
			}
		}
		ids := append(slices.Repeat([]string{stuck.ID}, 2*editors), well...)
		change, err := r.client.Stages(t.Context(), StagesRequest{Op: "add", Direction: "down", Stage: "count", IDs: ids, Within: 0.2, Kill: kill})
		if err != nil || change.Changed != len(well) {
			t.Errorf("%d of %d have changed: %v", change.Changed, len(well), err)
		}
		for _, c := range change.Conns[2*editors:] {
			if c.Error != "" || len(c.Down) == 0 {
				t.Errorf("one that could change: %+v", c)
			}
		}
		if n := change.Conns[0]; n.Error == "" || n.Killed != kill {
			t.Errorf("the one that could not: %+v", n)
		}
	}
}

// Who asks that conns are killed which have not changed in time, and goes, has none
// killed: they had no time.
func TestStagesWithoutAsker(t *testing.T) {
	r := start(t)
	stuck := r.stuck(t)
	q := &StagesRequest{Op: "rm", Direction: "down", At: "exec", Kill: true}
	edit, err := q.edit(nil)
	if err != nil {
		t.Fatal(err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	todo := []ConnChange{{ID: stuck.ID}}
	r.api.editConns(gone, q, edit, time.Hour, todo)
	if !todo[0].Blocked || todo[0].Killed || r.relay.Live() != 1 {
		t.Errorf("%+v, and %d conns live", todo[0], r.relay.Live())
	}
}

// stuck makes a conn that cannot change: its stage holds what its client does not read.
func (r *rig) stuck(t *testing.T) Conn {
	t.Helper()
	c, info := r.one(t)
	add := StagesRequest{Op: "add", Direction: "down", Stage: "exec:cat", IDs: []string{info.ID}}
	if change, err := r.client.Stages(t.Context(), add); err != nil || change.Changed != 1 {
		t.Fatalf("%+v, %v", change, err)
	}
	go io.Copy(c, endless{})
	r.untilStuck(t, info.ID)
	return info
}

// untilStuck waits until nothing leaves the conn: all buffers on the way are full.
// That it writes is not enough, it may do so for a moment.
func (r *rig) untilStuck(t *testing.T, id string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for still, before := 0, int64(-1); still < 40; <-tick.C {
		d := r.detail(t, id).Down
		if still++; d.State != "writing" || d.Out != before {
			still = 0
		}
		before = d.Out
	}
}

// endless is bytes without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
