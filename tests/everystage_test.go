package tests

import (
	"io"
	"testing"

	"relayd/lifetime"
	"relayd/relay"
	"relayd/socket"
	"relayd/tests/leak"
	"relayd/transform"
)

// Every stage of the list, in relays of real sockets.

// A carried is a stage, as it may stand in the way of a conn that is not to
// notice; undo, if not empty, undoes it.
type carried struct{ stage, undo string }

// everyStage has each stage of the list, under its name. What decodes is there
// with what encodes.
func everyStage(t *testing.T) map[string]carried {
	t.Helper()
	dir := t.TempDir()
	all := map[string]carried{
		"gzip":    {"gzip", "gunzip"},
		"zstd":    {"zstd", "unzstd"},
		"s2":      {"s2", "uns2"},
		"exec":    {"exec:cat", ""},
		"wasm":    {guest + ",args=copy", ""},
		"tee":     {"tee:" + dir + "/tee", ""},
		"hexdump": {"hexdump:" + dir + "/hex", ""},
		"count":   {"count", ""},
		"hash":    {"hash", ""},
		"pcapng":  {"pcapng:" + dir + "/pcapng", ""},
		"limit":   {"limit:1G/s,scope=source", ""},
		"delay":   {"delay:2ms,jitter=1ms", ""},
		"slice":   {"slice:1000", ""},
		"stall":   {"stall:3,time=2ms", ""},
		"cut":     {"cut:1T", ""},
		"reset":   {"reset:1T", ""},
		"corrupt": {"corrupt:0", ""},
		"replace": {`replace:"\x00\x01\x02\x03\x04\x05\x06\x07",to=x`, ""},
	}
	undone := make(map[string]bool)
	for _, c := range all {
		undone[c.undo] = true
	}
	for _, s := range transform.Stages() {
		if _, ok := all[s.Name]; !ok && !undone[s.Name] {
			t.Errorf("no stage %s is tested between sockets: add one to the list in this file", s.Name)
		}
	}
	return all
}

// path starts the relays that have the stage in their way: one, or the two ends
// of a tunnel. The client's is the first.
func (c carried) path(t *testing.T, f family, p lifetime.Policy, server func(conn)) []*relayd {
	t.Helper()
	start := func(to socket.Address, up, down string) *relayd {
		return startRelay(t, relay.Config{
			Listen: []socket.Address{f.any(t)}, To: to,
			Up: stages(t, up), Down: stages(t, down), Policy: p,
		})
	}
	to := serve(t, f.any(t), server)
	if c.undo == "" {
		return []*relayd{start(to, c.stage, c.stage)}
	}
	far := start(to, c.undo, c.stage)
	return []*relayd{start(far.addr(), c.stage, c.undo), far}
}

// A clean end, a reset and a drain go through each stage, under each policy.
func TestEveryStageUnderEachPolicy(t *testing.T) {
	for name, stage := range everyStage(t) {
		for _, p := range []lifetime.Policy{lifetime.Refcount, lifetime.Trap, lifetime.CloseChildren, lifetime.Block} {
			t.Run(name+"/"+p.String(), func(t *testing.T) {
				leak.Check(t)
				checkPolicy(t, stage.path(t, tcp4, p, echo)[0])
			})
		}
	}
}

// A body of more than all buffers on the way hold arrives as it was, each way and
// one after the other, with the half-close between.
func TestEveryStageCarries(t *testing.T) {
	for name, stage := range everyStage(t) {
		for _, f := range families(t) {
			t.Run(name+"/"+f.name, func(t *testing.T) {
				leak.Check(t)
				stage.carries(t, f)
			})
		}
	}
}

func (c carried) carries(t *testing.T, f family) {
	const n = 4 << 20
	path := c.path(t, f, lifetime.Refcount, answerAfterEOF(n))
	client := dial(t, path[0].addr())
	sum := newSummer()
	if _, err := io.Copy(client, io.TeeReader(bytesOf(1, n), sum)); err != nil {
		t.Fatal(err)
	}
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	line := sum.String() + "\n"
	got := make([]byte, len(line))
	if _, err := io.ReadFull(client, got); err != nil || string(got) != line {
		t.Errorf("the server got %q, want %q; %v", got, line, err)
	}
	if got, want := sumOf(t, client), sumOf(t, bytesOf(2, n)); got != want {
		t.Errorf("the answer is %s, want %s", got, want)
	}
	for _, r := range path {
		if got := r.log.ends(t, 1); got["eof client"] != 1 {
			t.Errorf("ends: %v", got)
		}
	}
}

// inARow returns a chain of all stages, and the one that undoes it.
func inARow(t *testing.T) (encode, decode transform.Chain) {
	t.Helper()
	all := everyStage(t)
	for _, name := range []string{"count", "limit", "gzip", "exec", "slice", "zstd", "delay", "tee", "s2", "stall", "wasm",
		"hexdump", "corrupt", "hash", "replace", "cut", "pcapng", "reset"} {
		encode = append(encode, stages(t, all[name].stage)...)
		decode = append(stages(t, all[name].undo), decode...)
	}
	if len(encode) != len(all) {
		t.Errorf("%d of %d stages are in the row", len(encode), len(all))
	}
	return encode, decode
}

// What one types is answered before one types on, through all of them in a row.
func TestEveryStageInARow(t *testing.T) {
	leak.Check(t)
	encode, decode := inARow(t)
	far := startRelay(t, relay.Config{To: serve(t, address(t, "127.0.0.1:0"), echo), Up: decode, Down: encode})
	near := startRelay(t, relay.Config{To: far.addr(), Up: encode, Down: decode})
	c := dial(t, near.addr())
	for i := range 50 {
		exchange(t, c, string(rune('a'+i%26)))
	}
	exchange(t, c, string(make([]byte, 100_000)))
	finish(t, c, "")
	for _, r := range []*relayd{near, far} {
		if got := r.log.ends(t, 1); got["eof client"] != 1 {
			t.Errorf("ends: %v", got)
		}
	}
}
