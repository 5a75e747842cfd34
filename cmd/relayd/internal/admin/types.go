package admin

import (
	"strconv"
	"time"

	"relayd/lifetime"
	"relayd/relay"
	"relayd/socket"
)

// Seconds is a duration on the wire: a number of seconds.
type Seconds float64

func seconds(d time.Duration) Seconds { return Seconds(d.Seconds()) }

// Duration is the same in Go.
func (s Seconds) Duration() time.Duration { return time.Duration(float64(s) * float64(time.Second)) }

// A Conn is one relayed connection.
type Conn struct {
	ID       string    `json:"id"`
	State    string    `json:"state"`
	Route    string    `json:"route"`
	Listener string    `json:"listener"` // by name
	Client   string    `json:"client"`
	Upstream string    `json:"upstream"` // the address
	Pool     string    `json:"pool"`     // the upstream, by name
	Target   string    `json:"target"`   // the upstream's target, by name
	Age      Seconds   `json:"age_seconds"`
	Idle     Seconds   `json:"idle_seconds"`
	Up       Direction `json:"up"`
	Down     Direction `json:"down"`
	Loop     bool      `json:"loop"` // an event loop moves its bytes
}

// A Direction is one of the two of a conn.
type Direction struct {
	In     int64    `json:"bytes_in"`  // from the source
	Out    int64    `json:"bytes_out"` // to the destination
	State  string   `json:"state"`
	Stages []string `json:"stages"`
	Flows  []Flow   `json:"flows,omitempty"` // through the stages, once they are open
}

// A Flow is what has gone through one stage.
type Flow struct {
	Stage string   `json:"stage"`
	In    int64    `json:"bytes_in"`
	Out   int64    `json:"bytes_out"`
	Since *Seconds `json:"since_seconds"` // since it last gave some bytes; null if it never has
}

// A ConnDetail is a conn with all that it is made of.
type ConnDetail struct {
	Conn
	// Resources are the conn and all below it, parents before children.
	Resources []Resource `json:"resources"`
	ClientEnd *Socket    `json:"client_socket"`
	// UpstreamEnd is null while the conn dials.
	UpstreamEnd *Socket `json:"upstream_socket"`
	Error       string  `json:"error,omitempty"` // what went wrong so far
	// Why says in sentences why the conn is still open.
	Why []string `json:"why"`
}

// A Socket is what the kernel says of one.
type Socket struct {
	Local  string `json:"local"`
	Remote string `json:"remote"`
	Unsent int    `json:"unsent_bytes"` // written, and not acknowledged
	TCP    *TCP   `json:"tcp"`          // null if it is not TCP
}

// TCP is some of tcp_info, see tcp(7).
type TCP struct {
	State       string  `json:"state"`
	RTT         Seconds `json:"rtt_seconds"`
	RTTVar      Seconds `json:"rttvar_seconds"`
	Retransmits uint32  `json:"retransmits"`
	Unacked     uint32  `json:"unacked_segments"`
	Lost        uint32  `json:"lost_segments"`
	MSS         uint32  `json:"mss_bytes"`
	Sent        uint64  `json:"acked_bytes"`
	Received    uint64  `json:"received_bytes"`
}

// A Resource is one of the lifetime tree.
type Resource struct {
	ID     string `json:"id"`
	Parent string `json:"parent,omitempty"` // none for a root
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	State  string `json:"state"`
	Policy string `json:"policy"`
	// Orphan is a resource whose owner has dropped it, and that others still hold.
	Orphan     bool    `json:"orphan"`
	Age        Seconds `json:"age_seconds"`
	Children   int     `json:"children"`
	Operations int     `json:"operations"`      // calls that are inside
	Stack      string  `json:"stack,omitempty"` // where it was made, if that is kept
}

// A KillRequest says which conns to kill, and how.
type KillRequest struct {
	IDs    []string `json:"ids,omitempty"`
	Filter *Filter  `json:"filter,omitempty"`
	// How is "rst", which is the default and ends a conn at once, or "fin", which
	// lets it deliver what it has read.
	How    string  `json:"how,omitempty"`
	DryRun bool    `json:"dry_run,omitempty"` // only say who it would be
	Within Seconds `json:"within_seconds,omitempty"`
}

// Kills is the answer to it.
type Kills struct {
	Matched int    `json:"matched"`
	Killed  int    `json:"killed"` // those that are released, and proven so
	DryRun  bool   `json:"dry_run,omitempty"`
	Kills   []Kill `json:"kills"`
}

// A Kill is what became of one conn.
type Kill struct {
	ID       string     `json:"id"`
	Client   string     `json:"client,omitempty"`
	Released bool       `json:"released"`
	Took     Seconds    `json:"took_seconds"`
	Holders  []Resource `json:"holders,omitempty"` // who still holds it, if it is not released
	// ClientProof and UpstreamProof tell what the kernel says of the two
	// connections. They are null if there was none, and of a conn that could
	// finish.
	ClientProof   *Proof `json:"client_socket"`
	UpstreamProof *Proof `json:"upstream_socket"`
	Error         string `json:"error,omitempty"`
}

// A Proof is that of one socket's end.
type Proof struct {
	Kernel string `json:"kernel"`        // "gone" is the proof
	Why    string `json:"why,omitempty"` // why it is not
	Unread int    `json:"unread_bytes"`  // arrived, and lost
	Unsent int    `json:"unsent_bytes"`  // written and not acknowledged, and lost unless they had arrived
}

// A DrainRequest begins a drain. What it leaves out is as the command line has it.
type DrainRequest struct {
	Timeout *Seconds `json:"timeout_seconds,omitempty"` // 0 waits for ever
	Spread  *Seconds `json:"spread_seconds,omitempty"`
}

// A Drain is how far a drain has come.
type Drain struct {
	Draining bool `json:"draining"`
	Over     bool `json:"over"`
	Began    int  `json:"began_with"` // conns that lived when it began
	Live     int  `json:"live"`
	Cut      int  `json:"cut"` // conns that were ended by force
	// Left is how long the rest may still take; null if for ever, and 0 when its
	// time is up.
	Left *Seconds `json:"left_seconds"`
}

// Resources is the answer to a question about all of them.
type Resources struct {
	Orphans   int        `json:"orphans"`
	Resources []Resource `json:"resources"` // orphans first
}

func connOf(c *relay.ConnInfo) Conn {
	return Conn{
		ID: c.ID, State: string(c.State), Route: c.Route, Listener: c.Listener, Client: c.Client, Upstream: c.Upstream,
		Pool: c.Pool, Target: c.Target,
		Age: seconds(c.Age), Idle: seconds(c.Idle), Up: directionOf(c.Up), Down: directionOf(c.Down), Loop: c.Loop,
	}
}

func directionOf(d relay.Direction) Direction {
	if d.Stages == nil {
		d.Stages = []string{}
	}
	out := Direction{In: d.In, Out: d.Out, State: string(d.State), Stages: d.Stages}
	for _, f := range d.Flows {
		flow := Flow{Stage: f.Stage, In: f.In, Out: f.Out}
		if !f.Last.IsZero() {
			since := seconds(time.Since(f.Last))
			flow.Since = &since
		}
		out.Flows = append(out.Flows, flow)
	}
	return out
}

func detailOf(d *relay.ConnDetail) ConnDetail {
	return ConnDetail{
		Conn: connOf(&d.ConnInfo), Resources: resourcesOf(d.Resources), Error: d.Error, Why: why(d, d.Timeouts),
		ClientEnd: socketOf(d.ClientSocket), UpstreamEnd: socketOf(d.UpstreamSocket),
	}
}

func socketOf(s *relay.SocketInfo) *Socket {
	if s == nil {
		return nil
	}
	out := &Socket{Local: s.Local, Remote: s.Remote, Unsent: s.Unsent}
	if t := s.TCP; t != nil {
		out.TCP = &TCP{
			State: t.State, RTT: seconds(t.RTT), RTTVar: seconds(t.RTTVar), Retransmits: t.Retransmits,
			Unacked: t.Unacked, Lost: t.Lost, MSS: t.MSS, Sent: t.Sent, Received: t.Received,
		}
	}
	return out
}

func resourcesOf(list []lifetime.Info) []Resource {
	out := make([]Resource, len(list))
	for i := range list {
		out[i] = resourceOf(&list[i])
	}
	return out
}

func resourceOf(i *lifetime.Info) Resource {
	r := Resource{
		ID: strconv.FormatUint(i.ID, 10), Kind: i.Kind, Name: i.Name, State: i.State.String(), Policy: i.Policy.String(),
		Orphan: isOrphan(i), Age: seconds(i.Age), Children: i.Children, Operations: i.Operations, Stack: i.Stack,
	}
	if i.Parent != 0 {
		r.Parent = strconv.FormatUint(i.Parent, 10)
	}
	return r
}

// isOrphan reports whether nobody owns a resource that others hold.
func isOrphan(i *lifetime.Info) bool { return !i.Owned && i.State == lifetime.Live }

func proofOf(r *socket.Report) *Proof {
	if r == nil {
		return nil
	}
	return &Proof{Kernel: string(r.Kernel), Why: r.Why, Unread: r.Unread, Unsent: r.Unsent}
}
