package admin

import (
	"fmt"
	"strings"
	"time"

	"relayd/lifetime"
	"relayd/relay"
)

// why says in sentences why a conn is still open: how far it has come, what each
// direction waits for, who holds what, and what will end it by itself.
func why(d *relay.ConnDetail, t relay.Timeouts) []string {
	var s sentences
	s.state(d)
	s.directions(d)
	s.holders(d)
	s.bounds(d, t)
	return s
}

// sentences are what is said so far.
type sentences []string

func (s *sentences) say(format string, args ...any) { *s = append(*s, fmt.Sprintf(format, args...)) }

// state says how far the conn has come.
func (s *sentences) state(d *relay.ConnDetail) {
	switch d.State {
	case relay.Opening:
		s.say("It was accepted %s ago, and what it has to begin with has not come: a PROXY header, or a TLS handshake.", ago(d.Age))
	case relay.Dialling:
		s.say("It was accepted %s ago and still connects to %s.", ago(d.Age), d.Upstream)
	case relay.Open:
		s.say("It is open for %s: neither side has sent its last byte.", ago(d.Age))
	case relay.HalfOpen:
		done, other := "client", "upstream"
		if d.Down.State == relay.Over {
			done, other = other, done
		}
		s.say("It is half-closed: the %s has sent its last byte, and the %s has not.", done, other)
	case relay.Lingering:
		s.say("Both sides have sent their last byte; what is left is that a peer takes it.")
	case relay.ShutDown:
		s.say("It was shut down, and not all of it is released yet.")
	}
	if d.Error != "" {
		s.say("So far this went wrong: %s.", d.Error)
	}
}

// directions says what each waits for.
func (s *sentences) directions(d *relay.ConnDetail) {
	for _, w := range []struct {
		name, from, to string
		dir            relay.Direction
		to2            *relay.SocketInfo
	}{
		{"Up", "client", "upstream", d.Up, d.UpstreamSocket},
		{"Down", "upstream", "client", d.Down, d.ClientSocket},
	} {
		switch w.dir.State {
		case relay.Reading:
			s.say("%s waits for the %s to send; %d bytes have come from it.", w.name, w.from, w.dir.In)
		case relay.Writing:
			s.say("%s waits for the %s to take what it was sent; %d bytes have reached its socket.", w.name, w.to, w.dir.Out)
		}
		if w.to2 != nil && w.to2.Unsent > 0 {
			s.say("The %s's system has not acknowledged %d bytes.", w.to, w.to2.Unsent)
		}
	}
	if d.State != relay.Dialling && d.Idle >= 2*time.Second {
		s.say("Nothing has moved for %s.", ago(d.Idle))
	}
}

// holders says who holds a resource whose owner has let go of it, and what else
// holds the conn that is not a part of every conn.
func (s *sentences) holders(d *relay.ConnDetail) {
	if len(d.Resources) == 0 {
		return
	}
	for i := range d.Resources {
		r := &d.Resources[i]
		if !isOrphan(r) {
			continue
		}
		if who := held(r, d.Resources); who != "" {
			s.say("%s was dropped by its owner, and is kept by %s.", shortName(r, d.Resources), who)
		}
	}
	for i := range d.Resources {
		r := &d.Resources[i]
		if ordinary[r.Kind] {
			continue
		}
		s.say("%s, of the kind %s, holds it for %s.", shortName(r, d.Resources), r.Kind, ago(r.Age))
	}
}

// ordinary are the kinds that every conn has.
var ordinary = map[string]bool{"conn": true, "client": true, "upstream": true, "socket": true, "read": true, "write": true}

// held names who holds r: its children, and calls that are inside.
func held(r *lifetime.Info, all []lifetime.Info) string {
	var who []string
	for i := range all {
		if c := &all[i]; c.Parent == r.ID {
			who = append(who, fmt.Sprintf("%s (for %s)", shortName(c, all), ago(c.Age)))
		}
	}
	if r.Operations > 0 {
		who = append(who, fmt.Sprintf("%d calls that are inside", r.Operations))
	}
	return strings.Join(who, " and ")
}

// shortName is a name without the conn's, which the reader knows.
func shortName(r *lifetime.Info, all []lifetime.Info) string {
	if name, ok := strings.CutPrefix(r.Name, all[0].Name+"."); ok {
		return name
	}
	return r.Name
}

// bounds says which timer will end the conn by itself.
func (s *sentences) bounds(d *relay.ConnDetail, t relay.Timeouts) {
	quiet := func(limit time.Duration, flag string) {
		if limit > 0 {
			s.say("--%s ends it in %s if nothing moves until then.", flag, ago(max(0, limit-d.Idle)))
		}
	}
	switch d.State {
	case relay.Opening:
		if d.PrefaceTimeout > 0 {
			s.say("The listener's preface timeout ends it in %s.", ago(max(0, d.PrefaceTimeout-d.Age)))
		}
		return
	case relay.Dialling:
		if t.Connect > 0 {
			s.say("--connect-timeout ends it in %s.", ago(max(0, t.Connect-d.Age)))
		}
		return
	case relay.Lingering, relay.ShutDown:
		return
	case relay.HalfOpen:
		quiet(t.HalfClosed, "half-closed-timeout")
	}
	quiet(t.Idle, "idle-timeout")
	if d.Up.State == relay.Writing || d.Down.State == relay.Writing {
		quiet(t.WriteStall, "write-stall-timeout")
	}
	if t.MaxLifetime > 0 {
		s.say("--max-lifetime ends it in %s, whatever it does.", ago(max(0, t.MaxLifetime-d.Age)))
	}
	if d.State == relay.Open && t.Idle <= 0 && t.MaxLifetime <= 0 {
		s.say("No timer bounds it: --idle-timeout and --max-lifetime are off.")
	}
}

// ago writes a duration as people say it.
func ago(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}
