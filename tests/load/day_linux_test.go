package load

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"relayd/tests/leak"
)

var day = flag.Duration("day", 10*time.Minute, "how much of a day of a service to go through, as fast as it goes")

// A day of a service has this many conns a second, and what its operators do.
const (
	pace     = 10 // conns a second
	scraping = 15 * time.Second
	looking  = time.Minute
	changing = 5 * time.Minute
	renewing = time.Hour // and one of the two targets is killed, and comes back
	firstly  = 3 * time.Minute
)

// A service is relayd in front of two targets, with conns of all sorts, and
// people who scrape, look, reload, renew certificates and lose machines.
type service struct {
	t       *testing.T
	r       *relayd
	dir     string
	targets [2]*upstream
	api     *http.Client

	clients *clientele
	chores  chan time.Duration
	left    chan struct{} // closed when the operator does nothing more
	sizes   []int64       // resident memory, at each scrape
	changes int           // of the configuration
	done    map[string]int
}

// A day passes, with an hour in a few seconds, and at its end relayd is what it
// was in the morning.
func TestDay(t *testing.T) {
	leak.Check(t)
	s := openService(t)
	morning := s.metrics()
	began := time.Now()
	s.clients = &clientele{t: t, visit: s.turn, more: func(n int64) bool { return n <= int64(day.Seconds())*pace }}
	s.clients.begin()
	go s.operate()
	s.clients.running.Wait()
	close(s.chores)
	<-s.left
	t.Logf("%v in %v: %v with a target that was killed; %v", *day, time.Since(began).Round(time.Second), s.clients, s.done)
	s.compare(morning, s.clients.made.Load())
	s.r.flat(s.sizes)
	s.api.CloseIdleConnections()
	s.r.end("target is ", "reason=stage-failed") // when one was killed
}

func openService(t *testing.T) *service {
	s := &service{t: t, dir: t.TempDir(), chores: make(chan time.Duration), left: make(chan struct{}), done: make(map[string]int)}
	for i := range s.targets {
		s.targets[i] = startUpstream(t, "127.0.0.1:0")
	}
	s.renew()
	s.write()
	s.r = start(t, "-c", s.path("relayd.yaml"))
	s.api = &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: s.dialAPI}}
	return s
}

func (s *service) path(name string) string { return filepath.Join(s.dir, name) }

func (s *service) dialAPI(ctx context.Context, _, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", s.path("admin.sock"))
}

// write writes the configuration; every second one has a stage more.
func (s *service) write() {
	count := ""
	if s.changes%2 == 1 {
		count = "up: count, "
	}
	s.changes++
	text := fmt.Sprintf(`version: 1
listeners:
  plain: {on: 127.0.0.1:0, route: plain}
  secure: {on: 127.0.0.1:0, route: plain, tls: {cert: %[1]s/tls.pem}}
  near: {on: 127.0.0.1:0, route: near}
  far: {on: "unix://%[1]s/far.sock", route: far}
routes:
  plain: {%[2]supstream: targets}
  near: {upstream: far, wrap: zstd}
  far: {upstream: targets, unwrap: zstd}
upstreams:
  far: {targets: "unix://%[1]s/far.sock"}
  targets:
    targets: [{name: "0", address: "%[3]s"}, {name: "1", address: "%[4]s"}]
    check: {every: 200ms, rise: 1, fall: 2}
    eject: {for: 200ms, max-for: 1s}
    sources: [127.0.2.1, 127.0.2.2, 127.0.2.3, 127.0.2.4]
admin: {listen: "unix://%[1]s/admin.sock"}
`, s.dir, count, s.targets[0].addr, s.targets[1].addr)
	if err := os.WriteFile(s.path("relayd.yaml"), []byte(text), 0o600); err != nil {
		s.t.Error(err)
	}
}

// renew writes a new certificate, in one piece.
func (s *service) renew() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotAfter: time.Now().Add(25 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		s.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
	if err := os.WriteFile(s.path("next.pem"), text, 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(s.path("next.pem"), s.path("tls.pem")); err != nil {
		s.t.Fatal(err)
	}
}

// turn is one conn, before which the operator does what is due.
func (s *service) turn(n int64) error {
	const every = int64(scraping/time.Second) * pace
	if n%every == 0 {
		select {
		case s.chores <- time.Duration(n/pace) * time.Second:
		case <-s.left: // it has failed
			s.clients.over.Store(true)
		}
	}
	return s.visit(n)
}

// visit is one conn. Of ten, six are plain, two are TLS, one goes through the
// tunnel, and one is broken off.
func (s *service) visit(n int64) error {
	switch n % 10 {
	case 6, 7:
		return s.secret(n)
	case 8:
		return visit(s.r.at(2), n)
	case 9:
		return s.breakOff(n)
	}
	return visit(s.r.at(0), n)
}

func (s *service) secret(n int64) error {
	c, err := dial(s.r.at(1), int(n))
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	// Who it is, is not asked here: the certificate is a new one all the time.
	return ask(tls.Client(c, &tls.Config{InsecureSkipVerify: true}), uint64(n))
}

func (s *service) breakOff(n int64) error {
	c, err := dial(s.r.at(0), int(n))
	if err != nil {
		return err
	}
	c.(*net.TCPConn).SetLinger(0)
	c.Write(make([]byte, 4)) // half a question
	return c.Close()
}

// operate does what the operators of the day do, one thing after the other.
func (s *service) operate() {
	defer close(s.left)
	down := -1 // the target that is down
	for now := range s.chores {
		if down >= 0 {
			s.targets[down] = startUpstream(s.t, s.targets[down].addr)
			s.r.until("the target is up", s.up)
			down = -1
		}
		s.count("scrapes")
		s.sizes = append(s.sizes, int64(s.metrics()["process_resident_memory_bytes"]))
		if now%looking == 0 {
			s.count("looks")
			s.get("/v1/conns")
		}
		if now%changing == 0 {
			s.count("reloads")
			s.write()
			s.ask("POST", "/v1/reload")
		}
		if now%renewing == firstly {
			s.count("certificates")
			s.renew()
			s.ask("POST", "/v1/reload")
			s.count("targets killed")
			down = int(now/renewing) % 2
			s.clients.killing(s.targets[down].Kill)
		}
	}
}

func (s *service) count(what string) { s.done[what]++ }

// up tells whether no target is down.
func (s *service) up() bool { return !strings.Contains(s.get("/v1/upstreams"), `"down"`) }

func (s *service) get(path string) string { return s.ask("GET", path) }

// ask asks the admin API.
func (s *service) ask(method, path string) string {
	q, err := http.NewRequest(method, "http://relayd"+path, nil)
	if err != nil {
		s.t.Error(err)
		return ""
	}
	a, err := s.api.Do(q)
	if err != nil {
		s.t.Error(err)
		return ""
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil || a.StatusCode != http.StatusOK {
		s.t.Errorf("%s %s: %s: %v: %.500s", method, path, a.Status, err, text)
	}
	return string(text)
}

// metrics returns all numbers that relayd has, by name and labels.
func (s *service) metrics() map[string]float64 {
	all := make(map[string]float64)
	for in := bufio.NewScanner(strings.NewReader(s.get("/metrics"))); in.Scan(); {
		i := strings.LastIndexByte(in.Text(), ' ')
		if i < 0 || strings.HasPrefix(in.Text(), "#") {
			continue
		}
		if n, err := strconv.ParseFloat(in.Text()[i+1:], 64); err == nil {
			all[in.Text()[:i]] = n
		}
	}
	return all
}

// compare wants nothing left of the day.
func (s *service) compare(morning map[string]float64, conns int64) {
	var evening map[string]float64
	s.r.until("no conn is left", func() bool {
		evening = s.metrics()
		return evening["relayd_conns_accepted_total"] == sum(evening, "relayd_conns_ended_total{")
	})
	for _, name := range []string{"go_goroutines", "process_open_fds", "go_threads"} {
		was, is := morning[name], evening[name]
		s.t.Logf("%s: %.0f, then %.0f", name, was, is)
		if is > was+16 {
			s.t.Errorf("%s grew from %.0f to %.0f", name, was, is)
		}
	}
	// Those through the tunnel are two.
	if got, want := evening["relayd_conns_accepted_total"], float64(conns+conns/10); got < want {
		s.t.Errorf("%.0f conns of %.0f", got, want)
	}
}

// sum adds up all numbers whose names begin so.
func sum(all map[string]float64, prefix string) (n float64) {
	for name, v := range all {
		if strings.HasPrefix(name, prefix) {
			n += v
		}
	}
	return n
}
