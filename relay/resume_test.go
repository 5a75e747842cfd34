package relay

// A stage that harms a stream is of the conn: a change of another stage in its
// chain neither begins it anew nor decides anew whether it acts.

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"relayd/tests/leak"
	"relayd/transform"
)

func chainOf(t *testing.T, text string) transform.Chain {
	t.Helper()
	c, err := transform.ParseChain(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A cut counts from the beginning of the conn.
func TestChangeKeepsCut(t *testing.T) {
	leak.Check(t)
	u := listen(t)
	cut := chainOf(t, "cut:10")
	s, _ := start(t, Config{To: u.addr, Up: cut})
	c := dial(t, s.Addrs()[0])
	up := u.accept(t)
	send(t, c, "0123456")
	wantText(t, up, "0123456")
	id := onlyConn(t, s)
	setChains(t, s, id, append(transform.Chain{through}, cut...), nil)
	send(t, c, "789abcdef")
	wantText(t, up, "789")
	wantEOF(t, up)
	finish(t, up)
	wantEOF(t, c)
}

// What chance has decided for a conn stays, and takes no turn of another one.
func TestChangeKeepsChance(t *testing.T) {
	leak.Check(t)
	const conns = 12
	fates := func(change bool) string {
		u := listen(t)
		cut := chainOf(t, "cut:1,p=0.5,seed=7")
		s, _ := start(t, Config{To: u.addr, Up: cut})
		var b strings.Builder
		for range conns {
			c := dial(t, s.Addrs()[0])
			up := u.accept(t)
			if change {
				setChains(t, s, onlyConn(t, s), append(transform.Chain{through}, cut...), nil)
			}
			send(t, c, "ab")
			finish(t, c)
			got, err := io.ReadAll(up)
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString(string(got) + " ")
			finish(t, up)
			wantEOF(t, c)
			eventually(t, "the conn has ended", func() bool { return len(s.Conns()) == 0 })
		}
		return b.String()
	}
	if plain, changed := fates(false), fates(true); plain != changed {
		t.Errorf("without changes: %s\nwith: %s", plain, changed)
	}
}

// A stall that is for ever can be taken away, and stays when another stage
// changes.
func TestChangeOfStall(t *testing.T) {
	leak.Check(t)
	u := listen(t)
	stall := chainOf(t, "stall:3")
	s, _ := start(t, Config{To: u.addr, Up: stall})
	c := dial(t, s.Addrs()[0])
	up := u.accept(t)
	send(t, c, "abcdef")
	wantText(t, up, "abc")
	id := onlyConn(t, s)
	setChains(t, s, id, append(transform.Chain{through}, stall...), nil)
	up.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := up.Read(make([]byte, 1)); n > 0 || !isTimeout(err) {
		t.Errorf("it stalls no more: %d, %v", n, err)
	}
	up.SetReadDeadline(time.Time{})
	setChains(t, s, id, nil, nil)
	wantText(t, up, "def")
	finish(t, c)
	wantEOF(t, up)
	finish(t, up)
	wantEOF(t, c)
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// A stage that has ended the stream before the chain has come to its end has
// ended the direction: the next chain is not given what comes behind.
func TestChangeOfEnded(t *testing.T) {
	leak.Check(t)
	u := listen(t)
	chain := append(transform.Chain{holder}, chainOf(t, "cut:2")...)
	s, _ := start(t, Config{To: u.addr, Up: chain})
	c := dial(t, s.Addrs()[0])
	up := u.accept(t)
	send(t, c, "abcdef")
	id := onlyConn(t, s)
	eventually(t, "the stage has it", func() bool { return s.Conns()[0].Up.In == 6 })
	// The holder gives it all out when it is told to let go.
	ctx, stop := context.WithTimeout(t.Context(), testPatience)
	defer stop()
	if err := s.SetChains(ctx, id, transform.Chain{through}, nil); err != nil {
		t.Error(err)
	}
	send(t, c, "ghi")
	wantText(t, up, "ab")
	wantEOF(t, up)
	finish(t, up)
	wantEOF(t, c)
}
