package tests

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"relayd/lifetime"
	"relayd/relay"
	"relayd/socket"
	"relayd/tests/leak"
	"relayd/tests/program"
)

// Ten thousand conns of every sort of end, and nothing is left: no descriptor,
// no goroutine, no resource, and in the kernel nothing that waits for somebody.
func TestChurn(t *testing.T) {
	ss := program.Need(t, "ss")
	conns, clients := 10_000, 50
	if testing.Short() {
		conns = 1_000
	}
	leak.Check(t)
	upstream := serve(t, address(t, "127.0.0.1:0"), answerSome)
	r := startRelay(t, relay.Config{To: upstream})

	jobs := make(chan int)
	var running sync.WaitGroup
	for range clients {
		running.Go(func() {
			for n := range jobs {
				if err := churnOne(r, n); err != nil {
					t.Errorf("conn %d: %v", n, err)
				}
			}
		})
	}
	for n := range conns {
		jobs <- n
	}
	close(jobs)
	running.Wait()

	ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
	defer stop()
	result, err := r.Drain(ctx)
	if err != nil || result.Cut != 0 {
		t.Errorf("drain: %+v, %v", result, err)
	}
	for _, i := range lifetime.Snapshot(nil) {
		t.Errorf("left: %+v", i)
	}
	for _, port := range []uint16{r.addr().Port, upstream.Port} {
		filter := fmt.Sprintf("( sport = :%d or dport = :%d )", port, port)
		out, err := exec.Command(ss, "-Htan", "state", "close-wait", "state", "fin-wait-2", "state", "established", filter).CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "" {
			t.Errorf("ss: %v\n%s", err, out)
		}
	}
}

// answerSome reads up to a line's end or the stream's, and answers in one of
// several ways, by its first byte.
func answerSome(c conn) {
	var head [2]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return
	}
	switch head[0] {
	case 'r': // a reset in the middle of an answer
		c.Write(make([]byte, 10_000))
		c.(*net.TCPConn).SetLinger(0)
	case 'e': // the answer is the end
		io.Copy(io.Discard, plain{c})
		c.Write(head[:])
	case 'b': // more than anybody reads
		c.Write(make([]byte, 1<<20))
	default:
		c.Write(head[:])
		io.Copy(io.Discard, plain{c})
	}
}

// churnOne is one client. Which of the ends it plays is in n.
func churnOne(r *relayd, n int) error {
	c, err := net.DialTimeout("tcp", net.JoinHostPort(r.addr().Host, fmt.Sprint(r.addr().Port)), patience)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	tcp := c.(*net.TCPConn)
	say := func(s string) { io.WriteString(c, s) }
	hear := func(want int64) error {
		got, err := io.Copy(io.Discard, plain{c})
		if err == nil && got != want {
			err = fmt.Errorf("%d bytes came, of %d", got, want)
		}
		return err
	}
	switch n % 8 {
	case 0: // half-close, then the answer
		say("e.")
		tcp.CloseWrite()
		return hear(2)
	case 1: // the client resets
		say("x.")
		tcp.SetLinger(0)
	case 2: // the upstream resets
		say("r.")
		if err := hear(-1); !socket.IsReset(err) {
			return fmt.Errorf("want a reset, got %v", err)
		}
	case 3: // a reader that gives up
		say("b.")
		io.ReadFull(c, make([]byte, 1000))
	case 4: // somebody shuts a socket down, from outside
		say("x.")
		if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
			return err
		}
		return shutOne(r, c)
	case 5: // a connection that says nothing
	case 6: // all of a long answer
		say("b.")
		return hear(1 << 20)
	default:
		say("x.")
		if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
			return err
		}
		tcp.CloseWrite()
		return hear(0)
	}
	return nil
}

var errChurn = errors.New("churn")

// shutOne shuts down the relay's socket to the client c, found by its id, and
// wants the proof.
func shutOne(r *relayd, c net.Conn) error {
	for _, i := range lifetime.Snapshot(r.Resource()) {
		if !strings.HasSuffix(i.Name, ".client") {
			continue
		}
		s, ok := socket.Find(i.ID)
		if !ok || s.RemoteAddr() != c.LocalAddr().String() {
			continue
		}
		ctx, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		report, err := s.Shutdown(ctx, errChurn)
		if err != nil || report.Kernel != socket.Gone {
			return fmt.Errorf("shutdown: %+v, %w", report, err)
		}
		if _, err := io.Copy(io.Discard, plain{c}); !socket.IsReset(err) {
			return fmt.Errorf("after the shutdown: %v", err)
		}
		return nil
	}
	return errors.New("the conn is not in the tree")
}
