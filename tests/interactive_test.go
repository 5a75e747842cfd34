package tests

import (
	"testing"

	"relayd/tests/leak"
)

// Through a tunnel that compresses, what one types is answered before one types
// on: nothing waits in a compressor for more.
func TestInteractiveTunnel(t *testing.T) {
	leak.Check(t)
	near, _ := relays(t, tcp4, serve(t, address(t, "127.0.0.1:0"), echo), true)
	c := dial(t, near.addr())
	for i := range 1000 {
		exchange(t, c, string(rune('a'+i%26)))
	}
	finish(t, c, "")
}

// A server that speaks first is heard before the client says anything.
func TestServerSpeaksFirst(t *testing.T) {
	leak.Check(t)
	to := serve(t, address(t, "127.0.0.1:0"), func(c conn) {
		c.Write([]byte("220 ready"))
		echo(c)
	})
	for _, tunnel := range []bool{false, true} {
		near, _ := relays(t, tcp4, to, tunnel)
		c := dial(t, near.addr())
		greeting := make([]byte, 16)
		if n, err := c.Read(greeting); err != nil || string(greeting[:n]) != "220 ready" {
			t.Errorf("tunnel=%v: got %q, %v", tunnel, greeting[:n], err)
		}
		exchange(t, c, "HELO")
		finish(t, c, "")
	}
}
