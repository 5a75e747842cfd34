package main

import (
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// newHarness returns a harness for short measurements.
func newHarness(t *testing.T) *harness {
	t.Helper()
	files, err := raiseFiles()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	k, err := startKeeper("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.close(); err != nil {
			t.Error(err)
		}
	})
	h := &harness{
		options: options{quick: true, rounds: 1, measure: 20 * time.Millisecond, patience: 10 * time.Second},
		yard:    &yard{dir: dir, files: files, keeper: k},
		backend: startRole(t, roleBackend),
	}
	h.yard.ports.Store(int32(time.Now().UnixMicro() % (lastPort - firstPort)))
	return h
}

// smallRows are the rows of a few connections, and a small crowd.
func smallRows(t *testing.T) (list []row) {
	t.Helper()
	for _, w := range (toolbox{}).rows() {
		switch {
		case w.missing != nil:
			continue
		case w.crowd && w.kind == byMemory:
			w.job.Conns = 10
		case w.crowd:
			continue
		}
		list = append(list, w)
	}
	if len(list) != 14 {
		t.Fatalf("there are %d small rows, want 14", len(list))
	}
	return list
}

// Without a relay, and with an honest one, each row has figures.
func TestMeasure(t *testing.T) {
	h := newHarness(t)
	for _, p := range []peer{{name: peerDirect}, {name: peerNaive, command: naiveCommand}} {
		for _, w := range smallRows(t) {
			p := p
			if w.command != nil && p.command != nil {
				p.command = w.command
			}
			f, err := h.measure(t.Context(), w, p)
			if err != nil {
				t.Errorf("%s, %s: %v", w.name, p.name, err)
				continue
			}
			if w.kind == byMemory {
				if p.command != nil && (f.Files < 2 || f.Files > 7) {
					t.Errorf("%s, %s: %v descriptors for each connection", w.name, p.name, f.Files)
				}
				continue
			}
			if f.Rate <= 0 || p.command != nil && f.CPU <= 0 || w.kind == byOps && (f.P50 <= 0 || f.P99 < f.P50) {
				t.Errorf("%s, %s: %+v", w.name, p.name, f)
			}
		}
	}
}

// A relay that does not do its work has failed, with the reason.
func TestMeasureLiars(t *testing.T) {
	tests := []struct {
		defect string
		row    string
		want   string // a part of the reason
	}{
		{"drop-up", "bulk1-up", "on the way up: byte 960 is not"},
		{"flip-up", "bulk8-up", "on the way up: byte 960 is not"},
		{"double-up", "bulk1-up", "on the way up: byte 961 is not"},
		{"flip-down", "bulk1-down", "on the way down: byte 999 is not"},
		{"drop-down", "bulk1-down", "on the way down: byte 999 is not"},
		{"drop-up", "rr8-256k", "is not the one that was sent"},
		{"flip-down", "rr50-16k", "is not the one that was sent"},
		{"mute", "bulk1-up", "the answer after the FIN"},
		{"mute", "bulk8-down", "the answer after the FIN"},
		{"mute", "rr1", "the answer after the FIN"},
		{"mute", "crr1", "the answer after the FIN"},
		{"cut", "bulk1-down", "the answer after the FIN"},
		{"echo", "rr1", "the answer to message 1: byte 0 is not"},
		{"deaf", "crr1", "hang"},
		{"quits", "rr1", "enough is enough"},
	}
	h := newHarness(t)
	rows := make(map[string]row)
	for _, w := range smallRows(t) {
		rows[w.name] = w
	}
	for _, tt := range tests {
		h.options.patience = 10 * time.Second
		if tt.want == "hang" {
			h.options.patience = 300 * time.Millisecond
		}
		liar := peer{name: tt.defect, command: func(r route) (*exec.Cmd, error) {
			return role("liar", tt.defect, r.listen, r.to)
		}}
		f, err := h.measure(t.Context(), rows[tt.row], liar)
		var failure *relayError
		switch {
		case !errors.As(err, &failure):
			t.Errorf("%s, %s: it has not failed, but %v, %+v", tt.row, tt.defect, err, f)
		case !strings.Contains(err.Error(), tt.want):
			t.Errorf("%s, %s: it failed by %q, want %q", tt.row, tt.defect, err, tt.want)
		}
	}
}

// A relay that does not start has failed, with its own words.
func TestMeasureNoRelay(t *testing.T) {
	h := newHarness(t)
	broken := peer{name: "broken", command: func(route) (*exec.Cmd, error) { return role("no such role") }}
	_, err := h.measure(t.Context(), smallRows(t)[0], broken)
	var failure *relayError
	if !errors.As(err, &failure) || !strings.Contains(err.Error(), "no such role") {
		t.Errorf("got %v", err)
	}
}

// A run has figures of each round, or the reason why not.
func TestRun(t *testing.T) {
	h := newHarness(t)
	h.options.rounds = 2
	liar := func(r route) (*exec.Cmd, error) { return role("liar", "flip-up", r.listen, r.to) }
	peers := []peer{
		{name: peerDirect},
		{name: "liar", command: liar},
		{name: peerNaive, command: naiveCommand},
		{name: peerNginx, missing: errors.New("not installed")},
	}
	rows := []row{smallRows(t)[0], {name: "staged", missing: errors.New("one route")}, {name: "huge", job: job{Conns: 1 << 29}}}
	var log strings.Builder
	r, err := h.run(t.Context(), rows, peers, &progress{w: &log})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"staged", "huge"} {
		if r.row(name).Missing == "" {
			t.Errorf("%s was run", name)
		}
	}
	w := r.row("bulk1-up")
	for _, c := range w.Cells {
		switch c.Peer {
		case "liar":
			if c.ok() || c.Failed == "" || len(c.Samples) > 0 {
				t.Errorf("the liar has %+v", c)
			}
		case peerNginx:
			if c.ok() || c.Missing == "" {
				t.Errorf("what is not installed has %+v", c)
			}
		default:
			if !c.ok() || len(c.Samples) != 2 || c.Median.Rate <= 0 {
				t.Errorf("%s has %+v", c.Peer, c)
			}
		}
	}
	if _, ok := w.ratio(rate, "liar", peerDirect); ok {
		t.Error("the liar has a ratio")
	}
	for _, want := range []string{"[1/6] bulk1-up, round 1 of 2\n", "round 2 of 2\n", "bulk1-up: liar FAILED: "} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the progress lacks %q:\n%s", want, &log)
		}
	}
}

// The keeper ends the groups that it still has, and only those.
func TestKeeper(t *testing.T) {
	k, err := startKeeper("")
	if err != nil {
		t.Fatal(err)
	}
	var burners [2]*exec.Cmd
	var ends [2]io.Closer
	for i := range burners {
		if burners[i], err = role("burner", "nothing"); err != nil {
			t.Fatal(err)
		}
		inGroup(burners[i])
		if ends[i], err = burners[i].StdinPipe(); err != nil {
			t.Fatal(err)
		}
		if err := burners[i].Start(); err != nil {
			t.Fatal(err)
		}
		if err := k.add(burners[i].Process.Pid); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.remove(burners[1].Process.Pid); err != nil {
		t.Fatal(err)
	}
	if err := k.close(); err != nil {
		t.Fatal(err)
	}
	if err := burners[0].Wait(); err == nil {
		t.Error("the group of a lost relay has ended by itself")
	}
	ends[1].Close()
	if err := burners[1].Wait(); err != nil {
		t.Errorf("a group that was given back: %v", err)
	}
}
