package chaos

import (
	"io"
	"maps"
	"slices"
	"testing"

	"relayd/relay"
	"relayd/transform"
)

// What errors are planted in a relay, as stages that do to a stream what nobody has
// asked for.
var sabotages = map[string]func(src io.Reader) io.Reader{
	"nothing is wrong":    func(src io.Reader) io.Reader { return src },
	"a byte changes":      func(src io.Reader) io.Reader { return &saboteur{src: src, at: 20, do: changed} },
	"a byte is lost":      func(src io.Reader) io.Reader { return &saboteur{src: src, at: 20, do: lost} },
	"a byte comes twice":  func(src io.Reader) io.Reader { return &saboteur{src: src, at: 20, do: doubled} },
	"the end comes early": func(src io.Reader) io.Reader { return io.LimitReader(src, 20) },
	"a call is another":   func(src io.Reader) io.Reader { return &saboteur{src: src, at: 2, do: changed} },
}

// A saboteur does something to one byte.
type saboteur struct {
	src io.Reader
	at  int
	do  func(b byte) []byte
	out []byte
}

func changed(b byte) []byte { return []byte{b ^ 1} }
func doubled(b byte) []byte { return []byte{b, b} }
func lost(byte) []byte      { return nil }

func (s *saboteur) Read(p []byte) (int, error) {
	for len(s.out) == 0 {
		var b [1]byte
		if _, err := io.ReadFull(s.src, b[:]); err != nil {
			return 0, err
		}
		s.out = b[:]
		if s.at--; s.at == 0 {
			s.out = s.do(b[0])
		}
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

// Errors that are planted in a relay are found, and where there are none, none.
func TestPlanted(t *testing.T) {
	p, certificate := startCast(t), newCertificate(t)
	number := uint32(firstCall)
	for _, name := range slices.Sorted(maps.Keys(sabotages)) {
		for _, plain := range []bool{true, false} {
			if plain && name != "a byte changes" {
				continue // that the plain form goes the same ways is enough
			}
			t.Run(name+map[bool]string{true: " plainly"}[plain], func(t *testing.T) {
				const calls = 20
				stage := transform.NewStage("sabotage", func(src io.Reader) io.ReadCloser { return io.NopCloser(sabotages[name](src)) })
				e := &episode{t: t, seed: 3, random: randomOf(3, 0, 5), tally: newTally(), certificate: certificate, plain: plain}
				e.sabotage = func(c *relay.Config) {
					c.Up, c.Routes = append(transform.Chain(nil), c.Up...), slices.Clone(c.Routes)
					if plain {
						c.Up = append(c.Up, stage)
					}
					for i := range c.Routes {
						if c.Routes[i].Name != "c" { // whose TLS finds all by itself
							c.Routes[i].Up = append(c.Routes[i].Up[:len(c.Routes[i].Up):len(c.Routes[i].Up)], stage)
						}
					}
				}
				faults := e.play(p.in(t), number, calls).faults()
				number += calls
				if good := name == "nothing is wrong"; good != (len(faults) == 0) {
					t.Errorf("%d faults: %q", len(faults), faults)
				}
			})
		}
	}
}

// What a call must not come to is found in what is known of it.
func TestPlantedOutcomes(t *testing.T) {
	good := func() (*outcome, *call) {
		k := &call{Number: firstCall, Connected: true, Answered: true, From: "127.1.0.0",
			Client:   side{Sent: 100, Got: 50, EOF: true, Fin: true, Closed: true},
			Upstream: side{Sent: 50, Got: 100, EOF: true, Fin: true, Closed: true}}
		return &outcome{
			seen:  review{Calls: []*call{k}},
			ends:  map[uint32][]connEnd{k.Number: {{reason: "eof", first: "client", client: k.From}}},
			stats: relay.Stats{Accepted: 1, Ended: map[relay.End]int64{{Reason: relay.EOF, First: relay.Client}: 1}},
		}, k
	}
	end := func(o *outcome) *connEnd { return &o.ends[firstCall][0] }
	for _, planted := range []struct {
		name string
		do   func(o *outcome, k *call)
		fine bool
	}{
		{"nothing", func(*outcome, *call) {}, true},
		{"a conn that ends twice", func(o *outcome, _ *call) { o.ends[firstCall] = append(o.ends[firstCall], *end(o)) }, false},
		{"a conn that does not end", func(o *outcome, _ *call) { delete(o.ends, firstCall); o.stats.Ended = nil }, false},
		{"an end that is not counted", func(o *outcome, _ *call) { o.stats.Ended = nil }, false},
		{"an end without a reason", func(o *outcome, _ *call) { end(o).reason = "" }, false},
		{"an end without who began it", func(o *outcome, _ *call) { end(o).first = "" }, false},
		{"bytes that are missing", func(_ *outcome, k *call) { k.Upstream.Got-- }, false},
		{"bytes that are missing, and that is said", func(o *outcome, k *call) { k.Upstream.Got--; end(o).truncated = true }, true},
		{"bytes that are missing at a bad end", func(o *outcome, k *call) { k.Upstream.Got--; end(o).reason = "killed" }, true},
		{"bytes that nobody has sent", func(o *outcome, k *call) { k.Upstream.Got++; end(o).reason = "killed" }, false},
		{"an end that nobody has sent", func(_ *outcome, k *call) { k.Client.Fin, k.Client.Closed = false, false }, false},
		{"a wrong byte", func(_ *outcome, k *call) { k.Upstream.Wrong = "byte 3" }, false},
		{"another client in the log", func(o *outcome, _ *call) { end(o).client = "127.1.0.1" }, false},
		{"a prank that is answered", func(o *outcome, k *call) { k.Prank = true; end(o).reason = "killed" }, false},
		{"a prank that ends well", func(_ *outcome, k *call) { k.Prank, k.Answered = true, false }, false},
		{"an answer without a route", func(_ *outcome, k *call) { k.Group = -1 }, false},
		{"a client that never was", func(o *outcome, k *call) { k.Connected = false; end(o).up = 1 }, false},
		{"a client that gave up", func(_ *outcome, k *call) { k.Connected = false }, true},
		{"what the cast saw", func(o *outcome, _ *call) { o.seen.Wrong = []string{"a call came twice"} }, false},
		{"a conn without a name", func(o *outcome, k *call) {
			k.Unix, k.From = true, ""
			end(o).client = ""
			o.ends = map[uint32][]connEnd{nameless: o.ends[firstCall]}
		}, true},
		{"a conn without a name, and bytes that are missing", func(o *outcome, k *call) {
			k.Unix, k.From = true, ""
			end(o).client = ""
			o.ends = map[uint32][]connEnd{nameless: o.ends[firstCall]}
			k.Upstream.Got--
		}, false},
		{"a prank without a name that was refused", func(o *outcome, k *call) {
			k.Unix, k.Prank, k.Answered, k.From = true, true, false, ""
			o.ends, o.stats = nil, relay.Stats{Refused: map[string]int64{"max-conns": 1}}
		}, true},
		{"a refusal that is answered", func(o *outcome, _ *call) {
			o.ends, o.stats = nil, relay.Stats{Refused: map[string]int64{"denied": 1}}
		}, false},
		{"a refusal", func(o *outcome, k *call) {
			o.ends, o.stats = nil, relay.Stats{Refused: map[string]int64{"denied": 1}}
			k.Answered, k.Client.Got = false, 0
		}, true},
		{"a refusal that is not counted", func(o *outcome, k *call) {
			o.ends, o.stats = nil, relay.Stats{}
			k.Answered, k.Client.Got = false, 0
		}, false},
		{"one who was in the gate as it closed", func(o *outcome, k *call) {
			o.ends, o.stats, o.closed = nil, relay.Stats{}, true
			k.Answered, k.Client.Got, k.Gate = false, 0, true
		}, true},
	} {
		o, k := good()
		planted.do(o, k)
		if faults := o.faults(); planted.fine != (len(faults) == 0) {
			t.Errorf("%s: faults %q", planted.name, faults)
		}
	}
}
