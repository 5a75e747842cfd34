package upstream

import (
	"testing"
	"testing/synctest"
	"time"
)

// A pool that takes the place of another one knows what that knew.
func TestInherit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h health
		z := newZone()
		z.set("db.test", "10.0.0.1 10.0.0.2")
		h.set("sick", true)
		o := z.options()
		o.probe = h.probe
		c := named(t)
		for _, name := range []string{"sick", "bad", "byhand"} {
			c.Targets = append(c.Targets, Target{Name: name, Address: address(t, "echo:")})
		}
		c.Check = Check{On: true, Every: time.Minute}
		c.Eject = Eject{Fails: 1, Time: time.Minute, Max: time.Hour}
		c.SlowStart = time.Hour
		old := opened(t, c, o)
		after(3 * time.Second)
		held := try(t, old, nobody)
		for _, m := range old.members {
			if m.Name() == "bad" || m.Name() == "db@10.0.0.2:5432" {
				fail(m, 1, errDial)
			}
		}
		old.Set("byhand", Draining)

		z.set("db.test", "") // there is no answer any more
		c.Targets = append(c.Targets, Target{Name: "new", Address: address(t, "discard:")})
		o.Before = old
		p := opened(t, c, o)
		for name, want := range map[string]State{
			"db@10.0.0.1:5432": Up, "db@10.0.0.2:5432": Ejected, "sick": Down, "bad": Ejected, "byhand": Draining, "new": Starting,
		} {
			wantState(t, p, name, want)
		}
		if before, now := member(t, old, "sick"), member(t, p, "sick"); before != now {
			t.Errorf("before: %+v\nnow:    %+v", before, now)
		}
		if m := member(t, p, "new"); m.Weight > 0.02 {
			t.Errorf("a new one starts at once: %+v", m)
		}
		if m := member(t, p, "db@10.0.0.1:5432"); m.Weight != 1 || m.Conns != 0 {
			t.Errorf("one that was up: %+v", m)
		}
		if s := p.Status(); s.Ejections != 2 || s.Names[0].Addresses != 2 {
			t.Errorf("its status: %+v", s)
		}
		old.Close()
		held.Done() // to the old one, which it has outlived
		after(2 * time.Minute)
		wantState(t, p, "bad", Up)
		wantState(t, p, "db@10.0.0.2:5432", Up)
		wantState(t, p, "byhand", Draining)

		// With other checks, what the old ones said is nothing.
		c.Check.Send = "hello"
		o.Before = p
		p = opened(t, c, o)
		wantState(t, p, "sick", Starting)
		p.Close()
	})
}
