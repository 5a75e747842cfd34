package tests

import (
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"relayd/relay"
	"relayd/tests/leak"
	"relayd/transform"
)

// Conns with stages, full of bytes both ways, that are ended at random moments:
// by a kill, by a reset from either side, by the death of a program. What is left
// of a chain over memory is tested at every moment, in package transform; here it
// is the whole conn.

// staged are the stages of the table as they are ended here; without a line, as
// their example is written. DIR is a folder.
var staged = map[string]string{
	"gunzip":  "gzip,gunzip",
	"unzstd":  "zstd,unzstd",
	"uns2":    "s2,uns2",
	"exec":    "exec:cat",
	"tee":     "tee:DIR/%c.%d.raw,tee:DIR/%c.%d.lossy,lossy=true",
	"hexdump": "hexdump:DIR/%c.%d.hex",
	"pcapng":  "pcapng:DIR/%c.pcapng",
	"limit":   "limit:10M/s",
	"delay":   "delay:1ms",
	"slice":   "slice:4k",
	"stall":   "stall:100k,time=1ms",
	"cut":     "cut:1G",
	"reset":   "reset:1G",
	"wasm":    guest + ",args=copy",
}

// endings are how a conn is ended, which is the reason in its log line.
var endings = []string{"killed", "reset-client", "reset-upstream"}

func TestKilledAtRandomMoments(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 12))
	dir := t.TempDir()
	chains := []string{shell("sleep 1000 & exec cat"), "exec:cat,zstd,unzstd," + guest + ",args=copy"}
	for _, info := range transform.Stages() {
		text, ok := staged[info.Name]
		if !ok {
			text = info.Example
		}
		chains = append(chains, strings.ReplaceAll(text, "DIR", dir))
	}
	for _, chain := range chains {
		t.Run(chain, func(t *testing.T) {
			leak.Check(t)
			leak.Processes(t)
			f := floods(t, relay.Config{Up: stages(t, chain), Down: stages(t, chain)})
			for range 2 {
				for _, how := range endings {
					f.end(t, how, time.Duration(random.IntN(int(6*time.Millisecond))))
					f.wantReason(t, how, how)
				}
			}
		})
	}
}

// Somebody kills one of the programs of a conn, whenever.
func TestProgramKilledAtRandomMoments(t *testing.T) {
	leak.Check(t)
	leak.Processes(t)
	random := rand.New(rand.NewPCG(8, 12))
	cat := shell("echo $$ >&2; exec cat")
	f := floods(t, relay.Config{Up: stages(t, cat), Down: stages(t, "exec:cat,"+cat+",zstd,unzstd")})
	for i := range 20 {
		f.end(t, "program", time.Duration(random.IntN(int(6*time.Millisecond))))
		end := f.wantReason(t, "program", "stage-failed")
		if got := end.text("err"); !strings.Contains(got, "exec: /bin/sh was ended by killed") {
			t.Errorf("conn %d: err is %s", i, got)
		}
	}
}

// A flooded is a relay for one conn at a time, in which bytes go both ways until
// it is ended.
type flooded struct {
	*relayd
	random  *rand.Rand
	upReset atomic.Pointer[chan struct{}] // closed: the upstream resets
	ended   int
}

func floods(t *testing.T, c relay.Config) *flooded {
	f := &flooded{random: rand.New(rand.NewPCG(9, 12))}
	c.To = serve(t, address(t, "127.0.0.1:0"), func(c conn) {
		over := make(chan struct{})
		go func() {
			echo(c)
			close(over)
		}()
		select {
		case <-over:
		case <-*f.upReset.Load():
			reset(t, c)
			<-over
		}
	})
	f.relayd = startRelay(t, c)
	return f
}

// end has a conn be ended after some time.
func (f *flooded) end(t *testing.T, how string, after time.Duration) {
	t.Helper()
	upReset := make(chan struct{})
	f.upReset.Store(&upReset)
	c := dial(t, f.addr())
	sent, got := make(chan error, 1), make(chan error, 1)
	go func() { sent <- copyAll(c, bytesOf(1, 1<<40)) }()
	go func() { got <- copyAll(io.Discard, c) }()
	until(t, "the conn is open", func() bool {
		list := f.Conns()
		return len(list) == 1 && list[0].State == relay.Open
	})
	var pid int
	if how == "program" {
		pid = f.program(t, f.Conns()[0].ID)
	}
	<-time.After(after)
	switch how {
	case "killed":
		if _, err := f.Kill(t.Context(), f.Conns()[0].ID); err != nil {
			t.Error(err)
		}
	case "program":
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	case "reset-client":
		reset(t, c)
	case "reset-upstream":
		close(upReset)
	}
	f.ended++
	// A reset is told once: to the reader or to the writer.
	if errGot, errSent := <-got, <-sent; errGot == nil && errSent == nil {
		t.Errorf("%s after %v: the client sees a clean end", how, after)
	}
	c.Close()
}

// program returns the number of one of the two programs of a conn that have said
// theirs.
func (f *flooded) program(t *testing.T, id string) (pid int) {
	t.Helper()
	number, which := 0, f.random.IntN(2)
	until(t, "the programs have said their numbers", func() bool {
		number = 0
		lines, _ := f.log.find("stderr")
		for _, l := range lines {
			n, err := strconv.Atoi(l.text("line"))
			if err != nil || l.text("id") != id {
				continue
			}
			if number == which {
				pid = n
			}
			number++
		}
		return number == 2
	})
	return pid
}

func copyAll(to io.Writer, from io.Reader) error {
	_, err := io.Copy(to, plain{from})
	return err
}

// wantReason wants the log to say how the last conn has ended, and nothing to be
// left of it.
func (f *flooded) wantReason(t *testing.T, how, reason string) record {
	t.Helper()
	end := f.log.wait(t, "conn ended", f.ended)[f.ended-1]
	if got := end.text("reason"); got != reason {
		t.Errorf("%s: the reason is %s, err %s", how, got, end.text("err"))
	}
	until(t, "the conn is gone", func() bool { return f.Live() == 0 })
	return end
}
