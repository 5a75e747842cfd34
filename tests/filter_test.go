package tests

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"relayd/lifetime"
	"relayd/relay"
	"relayd/tests/leak"
)

// The stages that run a program or a module, between real sockets.

const guest = "wasm:../transform/wasm/testdata/guest.wasm"

// shell is an exec stage with a script, which must not have quotes.
func shell(script string) string { return `exec:"/bin/sh -c '` + script + `'",grace=50ms` }

// identities give back what they are given.
var identities = []string{"exec:cat", guest + ",args=copy", "exec:cat," + guest + ",args=copy,gzip,exec:cat,gunzip"}

func TestFilters(t *testing.T) {
	for _, p := range []lifetime.Policy{lifetime.Refcount, lifetime.Trap, lifetime.CloseChildren, lifetime.Block} {
		t.Run(p.String(), func(t *testing.T) {
			leak.Check(t)
			for _, chain := range identities {
				checkPolicy(t, startRelay(t, relay.Config{
					To:     serve(t, address(t, "127.0.0.1:0"), echo),
					Up:     stages(t, chain),
					Down:   stages(t, chain),
					Policy: p,
				}))
			}
		})
	}
}

// A large body arrives intact, and the half-close goes through.
func TestFiltersCarry(t *testing.T) {
	leak.Check(t)
	const size = 20 << 20
	for _, chain := range identities {
		r := startRelay(t, relay.Config{
			To: serve(t, address(t, "127.0.0.1:0"), echo),
			Up: stages(t, chain), Down: stages(t, chain),
		})
		c := dial(t, r.addr())
		sent := make(chan error)
		go func() {
			_, err := io.Copy(c, bytesOf(3, size))
			c.CloseWrite()
			sent <- err
		}()
		got := sumOf(t, c)
		if err := <-sent; err != nil || got != sumOf(t, bytesOf(3, size)) {
			t.Errorf("%s: what comes back is something else; %v", chain, err)
		}
		if n := r.log.ends(t, 1); n["eof client"] != 1 {
			t.Errorf("%s: ends: %v", chain, n)
		}
	}
}

// A stage that fails ends its conn, with what it has to say, after what came
// before. The other end must not take it for an end.
func TestFilterFails(t *testing.T) {
	for chain, want := range map[string]string{
		shell("head -c 5; echo it is broken >&2; exit 3"):  "exec: /bin/sh exited with code 3: it is broken",
		shell("head -c 5; kill -KILL $$"):                  "exec: /bin/sh was ended by killed",
		shell("head -c 5; exec >&-; sleep 1000 & exit 4"):  "exec: /bin/sh exited with code 4",
		guest + ",args=copy=5 trap":                        "wasm: the module trapped: unreachable",
		guest + ",args=copy=5 cry=oh exit=6":               "wasm: the module exited with code 6: oh",
		"exec:cat," + guest + ",args=copy=5 trap,exec:cat": "wasm: the module trapped: unreachable",
	} {
		t.Run(chain, func(t *testing.T) {
			leak.Check(t)
			r := startRelay(t, relay.Config{
				To: serve(t, address(t, "127.0.0.1:0"), echo),
				Up: stages(t, chain),
			})
			c := dial(t, r.addr())
			if _, err := io.WriteString(c, "hello, world"); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) || !strings.HasPrefix("hello", string(got)) {
				t.Errorf("got %q, %v; want a beginning of hello, and a reset", got, err)
			}
			line := r.log.wait(t, "conn ended", 1)[0]
			if line.text("reason") != "stage-failed" || line.text("first_closer") != "us" || line.text("err") != want {
				t.Errorf("reason %s, first_closer %s, err %s; want %s",
					line.text("reason"), line.text("first_closer"), line.text("err"), want)
			}
		})
	}
}

// Somebody kills a stage's program in the middle of its stream.
func TestFilterKilled(t *testing.T) {
	leak.Check(t)
	r := startRelay(t, relay.Config{
		To: serve(t, address(t, "127.0.0.1:0"), echo),
		Up: stages(t, shell("echo $$ >&2; exec cat")),
	})
	c := dial(t, r.addr())
	exchange(t, c, "hello")
	line := r.log.wait(t, "stderr", 1)[0]
	if line.text("id") == "" || line.text("direction") != "up" {
		t.Errorf("the program's line is not of a conn: %v", line.attrs)
	}
	pid, err := strconv.Atoi(line.text("line"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wantReset(t, c, 0)
	end := r.log.wait(t, "conn ended", 1)[0]
	if want := "exec: /bin/sh was ended by killed: " + line.text("line"); end.text("reason") != "stage-failed" || end.text("err") != want {
		t.Errorf("reason %s, err %s; want %s", end.text("reason"), end.text("err"), want)
	}
}

// A stage that takes nothing, gives nothing and does not end by itself is no
// reason for its conn to stay.
func TestFilterStuck(t *testing.T) {
	for _, chain := range []string{
		shell("trap : TERM HUP PIPE; echo $$ >&2; while :; do sleep 60; done"),
		shell("trap : TERM HUP PIPE; echo $$ >&2; cat >/dev/null"),
		guest + ",args=cry=0 spin",
		guest + ",args=cry=0 sleep=1000",
	} {
		for how, reason := range map[string]string{"killed": "killed", "reset": "reset-upstream", "drained": "drained"} {
			t.Run(how+" "+chain, func(t *testing.T) {
				leak.Check(t)
				cut := make(chan struct{})
				r := startRelay(t, relay.Config{
					To: serve(t, address(t, "127.0.0.1:0"), func(c conn) {
						<-cut
						if how == "reset" {
							reset(t, c)
							return
						}
						io.Copy(io.Discard, c)
					}),
					Up: stages(t, chain),
				})
				c := dial(t, r.addr())
				go io.Copy(c, bytesOf(1, 16<<20)) // more than all buffers take
				pid := r.log.wait(t, "stderr", 1)[0].text("line")
				close(cut)
				switch how {
				case "killed":
					if _, err := r.Kill(t.Context(), r.Conns()[0].ID); err != nil {
						t.Error(err)
					}
				case "drained":
					now, stop := context.WithCancel(t.Context())
					stop()
					wantDrained(t, beginDrain(now, r), 1)
				}
				if end := r.log.wait(t, "conn ended", 1)[0]; end.text("reason") != reason {
					t.Errorf("reason %s, want %s; err %s", end.text("reason"), reason, end.text("err"))
				}
				if pid != "0" {
					if _, err := os.Stat("/proc/" + pid); err == nil {
						t.Errorf("process %s is still there", pid)
					}
				}
			})
		}
	}
}

// A stage that has had enough ends its direction, and the other one goes on.
func TestFilterEndsEarly(t *testing.T) {
	leak.Check(t)
	for _, chain := range []string{"exec:head -c 5", guest + ",args=copy=5"} {
		r := startRelay(t, relay.Config{
			To: serve(t, address(t, "127.0.0.1:0"), answerAfterEOF(1<<20)),
			Up: stages(t, chain),
		})
		c := dial(t, r.addr())
		if _, err := io.WriteString(c, "hello, world"); err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, c); err != nil || n == 0 {
			t.Errorf("%s: the answer has %d bytes, %v", chain, n, err)
		}
		c.Close()
		r.log.ends(t, 1)
	}
}
