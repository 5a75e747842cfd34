package lifetime_test

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"relayd/lifetime"
)

// A conn is numbered: it and all below it are named from its id.
var (
	connKind = func() lifetime.Kind[part] {
		h := partHooks("conn")
		h.Numbered = true
		return lifetime.NewKind(h)
	}()
	clientKind   = socketKind.Named("client")
	upstreamKind = socketKind.Named("upstream")
)

// A tree is a conn: two sockets, each with two halves.
type tree struct {
	conn  part
	socks [2]sock
}

func newTree(tb testing.TB) *tree {
	tb.Helper()
	t := new(tree)
	t.conn.prepare(tb, nil)
	join := func(p, above *part, kind lifetime.Kind[part]) {
		tb.Helper()
		p.prepare(tb, above)
		if err := p.join(kind, lifetime.Refcount); err != nil {
			tb.Fatal(err)
		}
	}
	if err := t.conn.join(connKind, lifetime.Block); err != nil {
		tb.Fatal(err)
	}
	for i, kind := range []lifetime.Kind[part]{clientKind, upstreamKind} {
		s := &t.socks[i]
		join(&s.p, &t.conn, kind)
		join(&s.r, &s.p, readKind)
		join(&s.w, &s.p, writeKind)
	}
	return t
}

func TestNames(t *testing.T) {
	tr := newTree(t)
	root := new(part)
	root.prepare(t, nil)
	if err := root.join(socketKind, lifetime.Refcount); err != nil {
		t.Fatal(err)
	}
	id := strconv.FormatUint(tr.conn.ID(), 36)
	var names []string
	for _, i := range lifetime.Snapshot(nil) {
		names = append(names, i.Name)
	}
	wanted := []string{
		id,
		id + ".client", id + ".client.read", id + ".client.write",
		id + ".upstream", id + ".upstream.read", id + ".upstream.write",
		"socket-" + strconv.FormatUint(root.ID(), 36),
	}
	if !slices.Equal(names, wanted) {
		t.Errorf("names\n%q, want\n%q", names, wanted)
	}
	if got := tr.socks[0].r.Name(); got != id+".client.read" {
		t.Errorf("Name is %s", got)
	}
	// A subtree's names are no shorter.
	if got := lifetime.Snapshot(&tr.socks[1].p.Node)[1].Name; got != id+".upstream.read" {
		t.Errorf("name in a subtree is %s", got)
	}
	tr.conn.BeginShutdown(nil)
	if got := tr.socks[0].r.Name(); got != id+".client.read" {
		t.Errorf("Name after the release is %s", got)
	}
	root.BeginDrop()
}

func TestSnapshotSays(t *testing.T) {
	tr := newTree(t)
	s := &tr.socks[0]
	s.p.BeginDrop() // an orphan: its halves hold it
	s.r.Enter()
	s.r.Enter()
	s.w.owes.Store(true)
	s.w.BeginDrop()
	s.w.Ended(lifetime.Failed, errReset)
	list := lifetime.Snapshot(&tr.conn.Node)
	if len(list) != 7 {
		t.Fatalf("%d resources, want 7", len(list))
	}
	type what struct {
		parent               uint64
		kind                 string
		state                lifetime.State
		end                  lifetime.End
		policy               lifetime.Policy
		owned                bool
		children, operations int
	}
	conn, sock := tr.conn.ID(), s.p.ID()
	for i, wanted := range []what{
		{0, "conn", lifetime.Live, lifetime.Open, lifetime.Block, true, 2, 0},
		{conn, "client", lifetime.Live, lifetime.Dropped, lifetime.Refcount, false, 1, 0},
		{sock, "read", lifetime.Live, lifetime.Open, lifetime.Refcount, true, 0, 2},
		{sock, "write", lifetime.Draining, lifetime.Failed, lifetime.Refcount, false, 0, 0},
		{conn, "upstream", lifetime.Live, lifetime.Open, lifetime.Refcount, true, 2, 0},
	} {
		in := list[i]
		got := what{in.Parent, in.Kind, in.State, in.End, in.Policy, in.Owned, in.Children, in.Operations}
		if got != wanted {
			t.Errorf("%s is %+v, want %+v", in.Name, got, wanted)
		}
	}
	s.r.Leave()
	s.r.Leave()
	tr.conn.BeginShutdown(nil)
	<-tr.conn.Done()
	if list := lifetime.Snapshot(&tr.conn.Node); list != nil {
		t.Errorf("after the release there is %v", list)
	}
}

// Ages are of the resource's making, to 100ms.
func TestSnapshotAge(t *testing.T) {
	const precision = 100 * time.Millisecond
	before := time.Now()
	s := newSock(t, lifetime.Refcount)
	after := time.Now()
	<-time.After(3 * precision / 2)
	least := time.Since(after)
	age := lifetime.Snapshot(&s.p.Node)[0].Age
	most := time.Since(before)
	// Ids that other tests made may have borrowed some ticks.
	if age > most+precision || age < least-4*precision {
		t.Errorf("%v old, want between %v and %v", age, least, most)
	}
	s.p.BeginDrop()
}

func TestFind(t *testing.T) {
	tr := newTree(t)
	s := &tr.socks[1]
	for _, p := range []*part{&tr.conn, &s.p, &s.w} {
		for _, from := range []*lifetime.Node{nil, &tr.conn.Node} {
			if got := from.Find(p.ID()); got != &p.Node {
				t.Errorf("found %v, want %s", got, p.Name())
			}
		}
	}
	if got := tr.socks[0].p.Find(s.w.ID()); got != nil {
		t.Errorf("found %s below another socket", got.Name())
	}
	// It outlives the owner: this is how an orphan is reached.
	s.p.BeginDrop()
	if got := (*lifetime.Node)(nil).Find(s.p.ID()); got != &s.p.Node {
		t.Error("an orphan is not found")
	}
	tr.conn.BeginShutdown(nil)
	for _, from := range []*lifetime.Node{nil, &tr.conn.Node, &s.w.Node} {
		if from.Find(s.w.ID()) != nil || from.Find(tr.conn.ID()) != nil {
			t.Error("found a released resource")
		}
	}
	// Nobody may shut down what holds all roots.
	for id := range uint64(100) { // it is the oldest of all
		if got := (*lifetime.Node)(nil).Find(id); got != nil {
			t.Errorf("id %d is %s", id, got.Name())
		}
	}
}

func TestOf(t *testing.T) {
	tr := newTree(t)
	client := &tr.socks[0].p
	if got, ok := socketKind.Of(&client.Node); !ok || got != client {
		t.Error("a Named kind's resource is not of its base kind")
	}
	if got, ok := upstreamKind.Of(&client.Node); !ok || got != client {
		t.Error("a Named kind's resource is not of a kind that differs in name only")
	}
	if _, ok := connKind.Of(&client.Node); ok {
		t.Error("a client is a conn")
	}
	if _, ok := hookedKind.Of(&client.Node); ok {
		t.Error("a part is a hooked")
	}
	if _, ok := socketKind.Of(nil); ok {
		t.Error("nil is a socket")
	}
	tr.conn.BeginShutdown(nil)
	if _, ok := socketKind.Of(&client.Node); !ok {
		t.Error("a released client is none")
	}
}

// A checkedSnapshot is a snapshot of the whole process: each resource once, each
// below the one before it that is its parent, siblings by age.
func checkedSnapshot(t *testing.T) []lifetime.Info {
	t.Helper()
	list := lifetime.Snapshot(nil)
	seen := make(map[uint64]bool, len(list))
	last := make(map[uint64]uint64) // the last child of each parent
	for _, i := range list {
		switch {
		case seen[i.ID]:
			t.Errorf("%s is in the snapshot twice", i.Name)
		case i.Parent != 0 && !seen[i.Parent]:
			t.Errorf("%s comes before its parent", i.Name)
		case last[i.Parent] > i.ID:
			t.Errorf("%s comes after a younger sibling", i.Name)
		case i.State == lifetime.Released || i.State == 0:
			t.Errorf("%s is %v", i.Name, i.State)
		}
		seen[i.ID], last[i.Parent] = true, i.ID
	}
	return list
}

// Snapshots of 10,000 resources, while others come and go: they stop nobody, and
// miss none that was there all the time.
func TestSnapshotWhileOthersChurn(t *testing.T) {
	const conns = 10_000 / 7
	trees := make([]*tree, conns)
	for i := range trees {
		trees[i] = newTree(t)
	}
	var stop atomic.Bool
	var churned atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for !stop.Load() {
				s := newPair(t, lifetime.Refcount)
				s.p.BeginDrop()
				s.r.use()
				s.r.BeginDrop()
				churned.Add(1)
			}
		})
	}
	for range 3 {
		from := churned.Load()
		stable := 0
		for _, i := range checkedSnapshot(t) {
			if i.ID <= trees[conns-1].socks[1].w.ID() {
				stable++
			}
		}
		if stable != conns*7 {
			t.Errorf("%d of %d resources are in the snapshot", stable, conns*7)
		}
		for churned.Load() == from { // or it was no churn
			<-time.After(time.Millisecond)
		}
	}
	stop.Store(true)
	wg.Wait()
	for _, tr := range trees {
		if _, err := tr.conn.Shutdown(context.Background(), nil); err != nil {
			t.Error(err)
		}
		tr.conn.gone()
	}
	nothingLeft(t)
}
