package relay

import (
	"strings"
	"testing"

	"relayd/socket"
	"relayd/tests/leak"
	"relayd/transform"
)

// An address that a stage copies to is looked at before a conn needs it.
func TestBadCopyAddress(t *testing.T) {
	leak.Check(t)
	bad := chainOf(t, "count,tee:tcp://nonsense")
	const want = "stage tee:tcp://nonsense: "
	if _, err := Start(t.Context(), Config{Listen: []socket.Address{address(t, "127.0.0.1:0")}, To: address(t, "echo:"), Down: bad}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Start: %v, want %s", err, want)
	}
	s, _ := start(t, Config{To: address(t, "echo:")})
	c := dial(t, s.Addrs()[0])
	send(t, c, "a")
	wantText(t, c, "a")
	id := onlyConn(t, s)
	edit := func(transform.Chain, transform.Chain) (transform.Chain, transform.Chain, error) { return bad, nil, nil }
	if _, _, err := s.EditChains(DefaultName, edit); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("EditChains: %v, want %s", err, want)
	}
	if _, _, err := s.EditConn(t.Context(), id, edit); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("EditConn: %v, want %s", err, want)
	}
	send(t, c, "b")
	wantText(t, c, "b")
	finish(t, c)
	wantEOF(t, c)
}

// What a stage copies to may be hidden: nothing that goes wrong with it says it.
func TestHiddenCopyAddress(t *testing.T) {
	leak.Check(t)
	const secret = "hunter2"
	hidden := func(text string) transform.Chain {
		chain := chainOf(t, text)
		chain[0] = chain[0].Hidden("")
		return chain
	}
	err := CheckChains(hidden("tee:tcp://127.0.0.1:1?" + secret + "=1"))
	if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "tee:***") {
		t.Errorf("CheckChains: %v", err)
	}
	s, l := start(t, Config{To: address(t, "echo:"), Up: hidden("tee:exec:///nonexistent/program?arg=" + secret)})
	wantRefused(t, s.Addrs()[0])
	said := l.wantEnd(t, StageFailed, Us)["err"].String()
	if strings.Contains(said, secret) || !strings.Contains(said, "/nonexistent/program") {
		t.Errorf("the log says %s", said)
	}
}
