package upstream

import (
	"net"
	"net/netip"
	"testing"

	"relayd/socket"
	"relayd/tests/leak"
)

// Members are dialled from the sources in turn, those without a port left out,
// and when none has any that is nobody's fault but ours.
func TestSources(t *testing.T) {
	leak.Check(t)
	from := make(chan string, 8)
	ln := serve(t, "127.0.0.1:0", func(c net.Conn) { from <- c.RemoteAddr().(*net.TCPAddr).IP.String() })
	c := Config{Name: "test", Targets: []Target{at(t, "a", ln)}}
	c.Eject = Eject{Fails: 1, MaxPercent: 100}
	for _, text := range []string{"127.0.0.2", "198.51.100.77", "127.0.0.3", "::1"} { // the second is nobody's
		c.Sources = append(c.Sources, netip.MustParseAddr(text))
	}
	p := opened(t, c, Options{})
	if !members(p)[0].OnLoop() {
		t.Error("a loop cannot dial it")
	}
	for _, want := range []string{"127.0.0.2", "127.0.0.3", "127.0.0.3", "127.0.0.2"} {
		s, m, err := connect(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if got := <-from; got != want {
			t.Errorf("dialled from %s, want %s", got, want)
		}
		hang(t, s)
		m.Done()
	}

	c.Sources = c.Sources[1:2]
	p = opened(t, c, Options{})
	if _, _, err := connect(t.Context(), p); !socket.IsNoPorts(err) {
		t.Errorf("without a port: %v", err)
	}
	wantState(t, p, "a", Up)
}

// TLS is dialled over TCP: from the sources, too. They were left out without a
// word, and what listens there saw another client than the one that it lets in.
func TestSourcesOfTLS(t *testing.T) {
	leak.Check(t)
	from := make(chan string, 1)
	ln := serve(t, "127.0.0.1:0", func(c net.Conn) {
		from <- c.RemoteAddr().(*net.TCPAddr).IP.String()
		c.Close()
	})
	c := Config{
		Name:    "test",
		Targets: []Target{{Name: "a", Address: address(t, "tls://"+ln.Addr().String()+"?verify=insecure")}},
		Retry:   Retry{Attempts: -1},
		Sources: []netip.Addr{netip.MustParseAddr("127.0.0.2")},
	}
	p := opened(t, c, Options{})
	if s, m, err := connect(t.Context(), p); err == nil { // the handshake comes to nothing, sooner or later
		hang(t, s)
		m.Done()
	}
	if got := <-from; got != "127.0.0.2" {
		t.Errorf("dialled from %s, want 127.0.0.2", got)
	}
}
