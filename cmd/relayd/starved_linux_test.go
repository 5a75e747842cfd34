package main

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"relayd/tests/leak"
)

// A relayd that is out of descriptors has none for the admin API either; when some
// are free again it answers, those who have waited too, and as often as that goes.
func TestAdminOutlivesExhaustion(t *testing.T) {
	leak.Check(t)
	d := startDaemon(t, shortDir(t), nil, "--nofile", "64", "-l", "127.0.0.1:0", "-t", "echo:", "--log-level", "info")
	at := strings.TrimPrefix(d.addrs()[0], "tcp://")
	for round := range 3 {
		var conns, asking []net.Conn
		said := func(text string) func() bool { // once more
			before := strings.Count(d.out.String(), text)
			return func() bool { return strings.Count(d.out.String(), text) > before }
		}
		relayOut, adminOut := said("accept failed"), said("Accept error")
		for range 100 {
			c, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
		if !within(t, relayOut) {
			t.Fatalf("it has not run out: %s", &d.out)
		}
		for range 20 { // who come while there is none, and keep what they get
			c, err := net.Dial("unix", d.admin)
			if err != nil {
				t.Fatal(err)
			}
			c.Write([]byte("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"))
			asking = append(asking, c)
		}
		if !within(t, adminOut) {
			t.Fatalf("the API has not run out: %s", &d.out)
		}
		for _, c := range conns {
			c.Close()
		}
		for i, c := range asking {
			c.Write([]byte("\r\n"))
			c.SetDeadline(time.Now().Add(scriptPatience))
			b := make([]byte, 15)
			if _, err := c.Read(b); err != nil || string(b) != "HTTP/1.1 200 OK" {
				t.Errorf("round %d: who has waited (%d) is answered %q, %v", round, i, b, err)
			}
			c.Close()
		}
		if answer := d.ask("GET", "/v1/conns", "", http.Header{}); !strings.HasPrefix(answer, "200 ") {
			t.Errorf("round %d: %s", round, answer)
		}
	}
}
