package load

import (
	"net"
	"os"
	"testing"

	"relayd/tests/leak"
)

// A relayd whose listening socket belongs to somebody else, as under systemd, is
// restarted under load. One that ends by itself loses no conn, and one that is
// killed those that it held: who comes while there is none waits for the next.
func TestRestart(t *testing.T) {
	leak.Check(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := ln.Addr().String()
	file, err := ln.(*net.TCPListener).File()
	ln.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	to := startUpstream(t, "127.0.0.1:0").addr
	run := func() *relayd { return startOn(t, []*os.File{file}, "-l", "fd://3", "-t", to, "--admin", "none") }
	r := run()
	c := &clientele{t: t, visit: func(n int64) error { return visit(at, n) }, more: func(int64) bool { return true }}
	c.begin()
	for round := range 6 {
		c.await(500) // with this one
		if round%2 == 0 {
			r.end()
		} else {
			c.killing(r.kill)
		}
		r = run()
	}
	c.await(500)
	c.end()
	r.end()
	t.Logf("%v with a relayd that was killed", c)
	if most := 3 * int64(*crowd); c.lost.Load() > most {
		t.Errorf("%d were lost, of at most %d that were there", c.lost.Load(), most)
	}
}
