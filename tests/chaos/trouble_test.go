package chaos

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"relayd/lifetime"
	"relayd/relay"
	"relayd/socket"
	"relayd/transform"
)

// A trouble is what somebody does to the relay again and again, beside its
// clients and upstreams. It returns how often it did.
type trouble struct {
	name string
	of   int           // one of so many episodes has it
	each time.Duration // about the time between two
	do   func(e *episode, r *rand.Rand) int
}

var troubles = []trouble{
	{"targets set by hand", 3, 60 * time.Millisecond, setTarget},
	{"certificates read again", 4, 50 * time.Millisecond, rereadCertificates},
	{"killed by hand", 2, 40 * time.Millisecond, kill},
	{"finished by hand", 3, 60 * time.Millisecond, finish},
	{"edits of the route", 3, 70 * time.Millisecond, editRoute},
	{"edits of a conn", 2, 20 * time.Millisecond, editConn},
	{"reloads", 1, 60 * time.Millisecond, reload},
	{"snapshots of the tree", 1, 25 * time.Millisecond, look},
	{"times without descriptors", 4, 400 * time.Millisecond, exhaust},
	{"times without pipes", 2, 200 * time.Millisecond, exhaustPipes},
	{"programs killed", 2, 30 * time.Millisecond, killChildren},
}

// begin begins those that the episode has.
func (e *episode) begin(running *sync.WaitGroup) {
	for i, tr := range troubles {
		if e.random.IntN(tr.of) == 0 {
			r := randomOf(e.seed, uint32(i), 4)
			running.Go(func() { e.disturb(tr, r) })
		}
	}
}

func (e *episode) disturb(tr trouble, r *rand.Rand) {
	for {
		if pause(e.calm, time.Duration(r.Int64N(2*int64(tr.each)+1))) != nil {
			return
		}
		e.tally.did(tr.name, tr.do(e, r))
	}
}

// anyone returns a conn that lives, or "".
func (e *episode) anyone(r *rand.Rand) string {
	list := e.relay.Conns()
	if len(list) == 0 {
		return ""
	}
	return list[r.IntN(len(list))].ID
}

// kill ends a conn by force, and wants the proof.
func kill(e *episode, r *rand.Rand) int {
	id := e.anyone(r)
	if id == "" {
		return 0
	}
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	report, err := e.relay.Kill(ctx, id)
	switch {
	case err == relay.ErrNoConn:
		return 0
	case err != nil:
		e.t.Errorf("kill %s: %v: %+v", id, err, report)
	}
	for _, s := range []*socket.Report{report.Client, report.Upstream} {
		// One that was through with both directions may be in time-wait.
		if s != nil && s.Kernel != socket.Gone && s.Kernel != socket.TimeWait && s.Kernel != socket.Unverified {
			e.t.Errorf("kill %s: a socket is %v", id, s.Kernel)
		}
	}
	return 1
}

func finish(e *episode, r *rand.Rand) int {
	id := e.anyone(r)
	if id == "" {
		return 0
	}
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	if _, err := e.relay.Finish(ctx, id); err == relay.ErrNoConn {
		return 0
	} else if err != nil {
		e.t.Errorf("finish %s: %v", id, err)
	}
	return 1
}

// guests are stages that may come and go in the middle of a stream.
var guests = []string{
	"count", "slice:100", "limit:50MiB/s", "delay:1ms", "hash:sha256", "exec:cat", "stall:64k,time=5ms", "stall:1M,p=0.2",
	"cut:1T,p=0.5", "corrupt:0", "limit:50MiB/s,scope=source", "replace:no peer says this,to=or that", "tee:/dev/null", "tee:/dev/full",
	"hexdump:/dev/null", "pcapng:/dev/null",
}

// edited puts a guest into a chain, or takes one away.
func edited(r *rand.Rand, c transform.Chain) transform.Chain {
	for i, s := range c {
		if _, err := s.Inverse(); err != nil && !strings.Contains(s.String(), "lossy") && r.IntN(2) == 0 {
			return append(append(transform.Chain(nil), c[:i]...), c[i+1:]...)
		}
	}
	guest := guests[r.IntN(len(guests))]
	// A capture has a conn once.
	if len(c) > 4 || strings.HasPrefix(guest, "pcapng") && strings.Contains(c.String(), "pcapng") {
		return c
	}
	return append(append(transform.Chain(nil), parseChain(guest)...), c...)
}

func editBoth(r *rand.Rand) relay.Edit {
	return func(up, down transform.Chain) (transform.Chain, transform.Chain, error) {
		if r.IntN(2) == 0 {
			return edited(r, up), down, nil
		}
		return up, edited(r, down), nil
	}
}

func editRoute(e *episode, r *rand.Rand) int {
	name := relay.DefaultName
	if !e.plain {
		name = e.config.Routes[r.IntN(len(e.config.Routes))].Name
	}
	_, _, err := e.relay.EditChains(name, editBoth(r))
	switch {
	case errors.Is(err, relay.ErrNoRoute) && name == gateName: // it is away
		return 0
	case err != nil:
		e.t.Errorf("edit of the route %s: %v", name, err)
	}
	return 1
}

// editConn changes a conn's chains. That it has gone, is blocked, or has a codec
// is no fault.
func editConn(e *episode, r *rand.Rand) int {
	id := e.anyone(r)
	if id == "" {
		return 0
	}
	ctx, stop := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer stop()
	if _, _, err := e.relay.EditConn(ctx, id, editBoth(r)); err != nil {
		return 0
	}
	return 1
}

// look asks for all that can be asked.
func look(e *episode, r *rand.Rand) int {
	lifetime.Snapshot(nil)
	e.relay.Stats()
	if id := e.anyone(r); id != "" {
		e.relay.Conn(id)
	}
	return 1
}

// exhaust takes the descriptors away for a moment.
func exhaust(e *episode, r *rand.Rand) int {
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		return 0
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	low := was
	low.Cur = uint64(len(entries) + r.IntN(6))
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low) != nil {
		return 0
	}
	pause(e.calm, time.Duration(r.Int64N(int64(100*time.Millisecond))))
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was)
	return 1
}

// killChildren kills the programs that stages run.
func killChildren(e *episode, r *rand.Rand) int {
	n := 0
	for _, pid := range children() {
		if r.IntN(4) == 0 && syscall.Kill(pid, syscall.SIGKILL) == nil {
			n++
		}
	}
	return n
}

// children returns the processes whose parent we are, but for the cast.
func children() (list []int) {
	entries, _ := os.ReadDir("/proc")
	us := strconv.Itoa(os.Getpid())
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == castPID {
			continue
		}
		stat, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue
		}
		// After the name, which is in brackets: the state, and the parent.
		if f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])); len(f) > 1 && f[1] == us {
			list = append(list, pid)
		}
	}
	return list
}
