package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"

	"relayd/relay"
	"relayd/relay/upstream"
)

func reader(s string) io.Reader {
	if s == "" {
		return nil
	}
	return strings.NewReader(s)
}

// Every endpoint answers as the reference says, about a conn that lives, is half
// closed, is killed, and is not there any more.
func TestAnswersAreAsTheReferenceSays(t *testing.T) {
	r := start(t)
	x := check(t, r.client)
	c, info := r.one(t)
	if info.State != "open" || info.Client != c.LocalAddr().String() || info.Up.In != 5 || info.Down.Out != 5 || info.Route != relay.DefaultName {
		t.Errorf("it is listed as %+v", info)
	}
	if d := r.detail(t, info.ID); d.ID != info.ID || len(d.Resources) < 7 {
		t.Errorf("it is described as %+v", d)
	}
	c.CloseWrite()
	// It is half closed, and then gone.
	for err := error(nil); !isCode(err, "no_such_conn"); _, err = r.client.Conn(t.Context(), info.ID) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/v1/openapi.yaml", "/v1/drain", "/v1/resources", "/v1/resources?orphans=true"} {
		if status, text := r.do(t, "GET", path, ""); status != 200 {
			t.Errorf("GET %s: %d %s", path, status, text)
		}
	}
	io.Copy(io.Discard, c) // the echo ends it
	c.Close()

	c, info = r.another(t)
	d := r.detail(t, info.ID)
	if d.ClientEnd == nil || d.UpstreamEnd == nil || d.ClientEnd.Remote != info.Client || len(d.Resources) < 7 || len(d.Why) == 0 {
		t.Errorf("it is described as %+v", d)
	}
	kills, err := r.client.Kill(t.Context(), KillRequest{IDs: []string{info.ID, "nobody"}})
	if err != nil || kills.Killed != 1 || kills.Matched != 1 || kills.Kills[1].Error != relay.ErrNoConn.Error() {
		t.Errorf("kill: %+v, %v", kills, err)
	}
	wantProof(t, kills.Kills[0])
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client sees %v", err)
	}
	if _, err := r.client.Conn(t.Context(), info.ID); !isCode(err, "no_such_conn") {
		t.Errorf("after the kill it is described, or: %v", err)
	}
	_, info = r.another(t)
	if status, text := r.do(t, "DELETE", "/v1/conns/"+info.ID+"?how=fin&within=5s", ""); status != 200 || !strings.Contains(text, `"killed":1`) {
		t.Errorf("DELETE: %d %s", status, text)
	}
	if _, err := r.client.Routes(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := r.client.Stages(t.Context(), StagesRequest{Op: "add", Direction: "up", Stage: "count"}); err != nil {
		t.Error(err)
	}
	wantUpstreams(t, r)
	if change, err := r.client.Reload(t.Context(), ReloadRequest{}); err != nil || change.File != "relayd.yaml" {
		t.Errorf("reload: %+v, %v", change, err)
	}
	if status, text := r.do(t, "POST", "/v1/drain", ""); status != 202 {
		t.Errorf("POST /v1/drain: %d %s", status, text)
	}
	for _, e := range endpoints() {
		if name := e.method + " " + e.path; !x.seen[name] && e.path != "/v1/conns/{id}/tap" { // which has its own
			t.Errorf("%s was never answered", name)
		}
	}
}

// wantUpstreams looks at the one target, and puts it down and up.
func wantUpstreams(t testing.TB, r *rig) {
	t.Helper()
	list, err := r.client.Upstreams(t.Context())
	if err != nil || len(list.Upstreams) != 1 || len(list.Upstreams[0].Members) != 1 {
		t.Fatalf("upstreams: %+v, %v", list, err)
	}
	name, target := list.Upstreams[0].Name, list.Upstreams[0].Members[0].Target
	if status, text := r.do(t, "GET", "/v1/upstreams/"+name+"/targets/"+url.PathEscape(target), ""); status != 200 {
		t.Errorf("GET of a target: %d %s", status, text)
	}
	for _, tt := range []struct {
		q    TargetRequest
		want upstream.State
	}{
		{TargetRequest{State: "down", DryRun: true}, upstream.Up},
		{TargetRequest{State: "down"}, upstream.Down},
		{TargetRequest{State: "drain"}, upstream.Draining},
		{TargetRequest{State: "up"}, upstream.Up},
	} {
		got, err := r.client.SetTarget(t.Context(), name, target, tt.q)
		if err != nil || len(got.Members) != 1 || got.Members[0].State != tt.want {
			t.Errorf("%+v: %+v, %v", tt.q, got, err)
		}
	}
	if _, err := r.client.SetTarget(t.Context(), name, "other", TargetRequest{State: "up"}); !isCode(err, "no_such_target") {
		t.Errorf("a target that there is not: %v", err)
	}
	if _, err := r.client.SetTarget(t.Context(), name, target, TargetRequest{State: "ejected"}); !isCode(err, "bad_request") {
		t.Errorf("a state that nobody can put it into: %v", err)
	}
}

// another is one when another conn may still be on its way out.
func (r *rig) another(t testing.TB) (*net.TCPConn, Conn) {
	t.Helper()
	tcp := r.dial(t)
	for {
		list, err := r.client.Conns(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, info := range list.Conns {
			if info.Client == tcp.LocalAddr().String() {
				return tcp, info
			}
		}
	}
}

func (r *rig) detail(t testing.TB, id string) ConnDetail {
	t.Helper()
	d, err := r.client.Conn(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func isCode(err error, code string) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

func wantProof(t testing.TB, k Kill) {
	t.Helper()
	for _, p := range []*Proof{k.ClientProof, k.UpstreamProof} {
		if !k.Released || p == nil || p.Kernel != "gone" {
			t.Errorf("the kill of %s is not proven: %+v, %+v", k.ID, k, p)
		}
	}
}

// A filter chooses; a dry run changes nothing; and those that are chosen are
// proven to be gone.
func TestKillByFilter(t *testing.T) {
	r := start(t)
	for range 20 {
		r.dial(t)
	}
	c := r.dial(t)
	one := c.LocalAddr().String()
	for filter, want := range map[string]int{
		"all=true": 21, "client=127.0.0.0/8": 21, "client=127.0.0.1": 21, "client=10.0.0.0/8": 0, "client=::/0": 0,
		"client=::ffff:127.0.0.1": 21, "client=::ffff:127.0.0.0/104": 21, "client=::ffff:10.0.0.0/104": 0,
		"state=open": 21, "state=half-closed": 0, "older-than=0s": 21, "older-than=1h": 0, "idle-for=1h": 0,
		"route=default": 21, "state=open,client=127.0.0.1": 21, "listener=" + r.relay.Addrs()[0].String(): 21, "listener=elsewhere": 0,
	} {
		f, err := ParseFilter(filter)
		if err != nil {
			t.Fatal(err)
		}
		list, err := r.client.Conns(t.Context(), f)
		if err != nil || len(list.Conns) != want || list.Total != 21 {
			t.Errorf("%s: %d of %d conns, %v; want %d", filter, len(list.Conns), list.Total, err, want)
		}
		kills, err := r.client.Kill(t.Context(), KillRequest{Filter: f, DryRun: true})
		if err != nil || kills.Matched != want || kills.Killed != 0 || !kills.DryRun {
			t.Errorf("%s: a dry run says %+v, %v; want %d", filter, kills, err, want)
		}
	}
	if n := r.relay.Live(); n != 21 {
		t.Fatalf("%d conns live after dry runs", n)
	}
	f, _ := ParseFilter("state=open")
	kills, err := r.client.Kill(t.Context(), KillRequest{Filter: f})
	if err != nil || kills.Killed != 21 || r.relay.Live() != 0 {
		t.Fatalf("%d of %d killed, %d live: %v", kills.Killed, kills.Matched, r.relay.Live(), err)
	}
	found := false
	for _, k := range kills.Kills {
		wantProof(t, k)
		found = found || k.Client == one
	}
	if !found {
		t.Errorf("%s is not among the killed", one)
	}
}

// Conns finish also when who asked for it has gone.
func TestFinishWithoutAsker(t *testing.T) {
	r := start(t)
	c, one := r.one(t)
	gone, leave := context.WithCancel(t.Context())
	leave()
	ended := make(chan error, 1)
	go func() {
		_, err := io.ReadAll(c)
		c.Close()
		ended <- err
	}()
	w := httptest.NewRecorder()
	asked := r.api.request(w, httptest.NewRequestWithContext(gone, "POST", "/v1/kill", nil))
	if err := r.api.killAll(asked, &KillRequest{How: "fin"}, []Kill{{ID: one.ID}}, r.relay.Conns()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("who finishes reads %v", err)
	}
	if text := w.Body.String(); !strings.Contains(text, `"killed":1`) {
		t.Error(text)
	}
}

// Conns that take their time to finish leave it to others, however many they are: who
// could end cleanly is not reset because there was no time left to begin.
func TestFinishBesideSlow(t *testing.T) {
	r := start(t)
	_, slow := r.one(t) // which does not close when it has read the end
	c := r.dial(t)
	ids := slices.Repeat([]string{slow.ID}, 2*killers)
	for _, x := range r.relay.Conns() {
		if x.ID != slow.ID {
			ids = append(ids, x.ID)
		}
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.ReadAll(c)
		c.Close()
		ended <- err
	}()
	kills, err := r.client.Kill(t.Context(), KillRequest{IDs: ids, How: "fin", Within: 0.3})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("who finishes reads %v", err)
	}
	if k := kills.Kills[2*killers]; !k.Released || k.Error != "" {
		t.Errorf("%+v", k)
	}
}
