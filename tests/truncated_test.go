package tests

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"

	"relayd/relay"
	"relayd/tests/leak"
)

// A client that takes the whole answer but for what stays in the kernel's buffers
// has lost that when the linger time is over, and the conn's line says so, and how
// much it is: both sides had finished, but not all arrived.
func TestTruncatedConn(t *testing.T) {
	for _, loops := range []int{1, -1} {
		t.Run(fmt.Sprintf("loops=%d", loops), func(t *testing.T) {
			leak.Check(t)
			const size = 1 << 20
			to := serve(t, address(t, "127.0.0.1:0"), func(c conn) {
				io.Copy(io.Discard, c)
				io.Copy(c, bytesOf(1, size))
			})
			r := startRelay(t, relay.Config{To: to, EventLoops: loops})
			c := dial(t, r.addr())
			c.(*net.TCPConn).SetReadBuffer(16 << 10)
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			line := r.log.wait(t, "conn ended", 1)[0]
			if line.text("reason") != "eof" || line.text("first_closer") != "client" {
				t.Errorf("reason %s, first_closer %s", line.text("reason"), line.text("first_closer"))
			}
			if line.text("truncated") != "true" || line.text("lost_up") != "0" {
				t.Errorf("truncated=%s, lost_up=%s", line.text("truncated"), line.text("lost_up"))
			}
			if lost, err := strconv.Atoi(line.text("lost_down")); err != nil || lost <= 0 || lost >= size {
				t.Errorf("lost_down=%s of %d bytes", line.text("lost_down"), size)
			}
			if line.text("down_bytes") != fmt.Sprint(size) {
				t.Errorf("down_bytes=%s", line.text("down_bytes"))
			}
		})
	}
}
