package chaos

import (
	"fmt"
	"strings"
	"syscall"

	"relayd/relay"
)

// An outcome is all that is known of an episode when it is over: what its cast saw,
// and what the relay says.
type outcome struct {
	seen  review
	ends  map[uint32][]connEnd // as the log has them, by call; see nameless
	stats relay.Stats
	// closed tells that the gate was: who had got into it, and was not accepted yet,
	// is reset by the system, and nobody has refused him.
	closed bool
}

// nameless is the key of conns that have no address: of Unix sockets, before a
// PROXY header or without.
const nameless = 0

// faults returns all that should not be.
func (o *outcome) faults() (list []string) {
	blame := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	list = append(list, o.seen.Wrong...)
	ended, refused, logged := int64(0), int64(0), int64(0)
	for _, n := range o.stats.Ended {
		ended += n
	}
	for _, n := range o.stats.Refused {
		refused += n
	}
	for _, ends := range o.ends {
		logged += int64(len(ends))
	}
	if o.stats.Accepted != ended || logged != ended {
		blame("accepted %d, ended %d, in the log %d", o.stats.Accepted, ended, logged)
	}
	missing, atGate, early, unnamed := int64(0), int64(0), int64(0), []*call(nil)
	for _, k := range o.seen.Calls {
		ends := o.ends[k.Number]
		if k.Connected && k.Gate && len(ends) == 0 {
			atGate++
		}
		switch {
		case len(ends) > 1:
			blame("%v: ended %d times: %v", k.home(), len(ends), ends)
		case !k.Connected:
			// The relay may have had it, and reset it before the client knew; or the
			// client gave up when the system had connected it already, which closes in
			// good order a connection that has carried nothing.
			if len(ends) == 1 && ends[0].reason == "eof" && ends[0].up+ends[0].down > 0 {
				blame("%v: the conn ended well and has carried bytes, and its client never had it (%s): %v", k.home(), k.Client.Err, ends[0])
			}
			if len(ends) == 0 && k.Client.Err != syscall.ECONNREFUSED.Error() {
				early++ // the same, and it was refused
			}
		case len(ends) == 1:
			list = append(list, k.faults(ends[0])...)
		case k.Unix:
			unnamed = append(unnamed, k)
		default:
			missing++
			list = append(list, k.refusedFaults()...)
		}
	}
	lost, more := unnamedFaults(unnamed, o.ends[nameless])
	list = append(list, more...)
	if !o.closed {
		atGate = 0
	}
	if missing += lost; missing+early < refused || missing > refused+atGate {
		blame("%d connections have no end in the log, %d were refused, %d may not have known that they were there, %d may have been in the gate",
			missing, refused, early, atGate)
	}
	return list
}

// unnamedFaults holds the calls against the ends of which it is not known which is
// whose. It returns how many have none.
func unnamedFaults(calls []*call, ends []connEnd) (missing int64, list []string) {
	bad, doubtful := 0, 0
	for _, end := range ends {
		if end.reason == "" || end.first == "" {
			list = append(list, fmt.Sprintf("a conn ended without a reason or a first closer: %v", end))
		}
		if !end.good() {
			bad++
		}
	}
	for _, k := range calls {
		anyhow := connEnd{reason: "unknown", first: "unknown", client: k.From}
		well := connEnd{reason: "eof", first: "unknown", client: k.From}
		list = append(list, k.faults(anyhow)...)
		if k.Answered && len(k.faults(well)) > 0 { // who was not may be one of the missing
			doubtful++
		}
	}
	if doubtful > bad {
		list = append(list, fmt.Sprintf("%d calls by Unix sockets cannot have ended well, %d conns say so", doubtful, bad))
	}
	if len(ends) > len(calls) {
		list = append(list, fmt.Sprintf("%d conns by Unix sockets, of %d calls", len(ends), len(calls)))
	}
	return int64(len(calls) - len(ends)), list
}

// refusedFaults is for a call that became no conn.
func (k *call) refusedFaults() []string {
	if k.Answered || k.Client.Got > 0 {
		return []string{fmt.Sprintf("%v: there was no conn, and yet: %+v", k.home(), *k)}
	}
	return nil
}

// good reports whether the end says that all has arrived.
func (c connEnd) good() bool { return c.reason == "eof" && !c.truncated }

// faults holds one call against how its conn ended.
func (k *call) faults(end connEnd) (list []string) {
	for _, d := range []struct {
		name     string
		from, to *side
	}{{"up", &k.Client, &k.Upstream}, {"down", &k.Upstream, &k.Client}} {
		if wrong := k.faultsOf(d.name, d.from, d.to, end); len(wrong) > 0 {
			list = append(list, fmt.Sprintf("%v %s: %s\n  from %+v\n  to %+v\n  %v, %+v",
				k.home(), d.name, strings.Join(wrong, "; "), *d.from, *d.to, end, *k))
		}
	}
	blame := func(what string) { list = append(list, fmt.Sprintf("%v: %s: %v, %+v", k.home(), what, end, *k)) }
	if end.reason == "" || end.first == "" {
		blame("ended without a reason or a first closer")
	}
	if end.reason == "eof" && end.client != k.From {
		blame("the log has another client than " + k.From)
	}
	if k.Prank && (k.Answered || end.reason == "eof") {
		blame("a conn without a preface went on")
	}
	if k.Group < 0 && k.Answered {
		blame("a conn without a route went on")
	}
	return list
}

// faultsOf holds one direction of a call against how its conn ended.
func (k *call) faultsOf(direction string, from, to *side, end connEnd) (wrong []string) {
	if to.Wrong != "" {
		wrong = append(wrong, to.Wrong)
	}
	if to.Got > from.Sent && (k.Answered || direction == "up") && !from.Broken {
		wrong = append(wrong, "more arrived than was sent")
	}
	if !k.Answered || !end.good() || !to.EOF {
		return wrong
	}
	if !from.Fin && !from.Closed {
		wrong = append(wrong, "an end arrived that nobody has sent")
	} else if to.Got != from.Sent {
		wrong = append(wrong, "bytes are missing, and the conn ended well")
	}
	return wrong
}
