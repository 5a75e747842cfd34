package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"relayd/relay/preface"
	"relayd/socket"
	"relayd/tests/leak"
)

// A vault is secrets by what they are of.
type vault map[string][]byte

// mark makes one that is text, and that nothing else has in it.
func (v vault) mark(of string) string {
	b := make([]byte, 15)
	rand.Read(b)
	text := "Mark" + hex.EncodeToString(b)
	v[of] = []byte(text)
	return text
}

// forms are the ways in which a secret may stand in a text: as it is, in hex, and
// in base64, with anything before it.
func forms(secret []byte) []string {
	list := []string{string(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret))}
	for before := range 3 {
		padded := append(make([]byte, before), secret...)
		whole := padded[:len(padded)/3*3]
		for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			text := e.EncodeToString(whole)
			if before > 0 {
				text = text[4:] // has bits of what is before
			}
			list = append(list, text)
		}
	}
	return list
}

// find complains of each secret that is in a text.
func (v vault) find(t *testing.T, where, text string) {
	t.Helper()
	for of, secret := range v {
		for _, form := range forms(secret) {
			if i := strings.Index(text, form); i >= 0 {
				t.Errorf("%s: it tells what is of %s: …%q…", where, of, text[max(0, i-160):min(len(text), i+len(form)+40)])
				break
			}
		}
	}
}

// The search sees what it is to see.
func TestVaultFinds(t *testing.T) {
	secret := []byte("Mark0123456789abcdef0123456789")
	for before := range 4 {
		text := append(bytes.Repeat([]byte("x"), before), append(secret, "and more"...)...)
		for _, said := range []string{string(text), hex.EncodeToString(text), base64.StdEncoding.EncodeToString(text), base64.RawURLEncoding.EncodeToString(text)} {
			found := false
			for _, form := range forms(secret) {
				found = found || strings.Contains(said, form)
			}
			if !found {
				t.Errorf("it is not found in %s", said)
			}
		}
	}
}

// A secretHouse is files with secrets, and a configuration that names all of them.
type secretHouse struct {
	dir    string
	vault  vault
	env    []string
	config string
}

func (h *secretHouse) path(name string) string { return filepath.Join(h.dir, name) }

func (h *secretHouse) write(t *testing.T, name, text string) string {
	t.Helper()
	next := h.path(name) + ".next"
	if err := errors.Join(os.WriteFile(next, []byte(text), 0o600), os.Rename(next, h.path(name))); err != nil {
		t.Fatal(err)
	}
	return h.path(name)
}

// newSecretHouse builds one, with an upstream that does not answer as its checks
// want it.
func newSecretHouse(t *testing.T, dir, upstream string) *secretHouse {
	t.Helper()
	h := &secretHouse{dir: dir, vault: make(vault)}
	for _, name := range []string{"token", "send", "expect", "argument", "failing", "stage", "several", "broken"} {
		h.write(t, name, h.vault.mark(name)+"\n")
	}
	h.env = []string{"RELAYD_TEST_SECRET=" + h.vault.mark("environment"), "SOME_PASSWORD=" + h.vault.mark("environment, again")}
	tunnel, err := socket.NewKey(true)
	if err != nil {
		t.Fatal(err)
	}
	h.write(t, "tunnel.key", string(tunnel.File))
	_, text, _ := strings.Cut(strings.TrimSpace(string(tunnel.File)), "key:")
	if h.vault["tunnel key"], err = base64.StdEncoding.DecodeString(text); err != nil {
		t.Fatal(err)
	}
	cert, key, private := selfSigned(t, "relayd.example")
	h.write(t, "cert.pem", cert)
	h.write(t, "key.pem", key)
	h.vault["TLS key"] = private
	file := func(name string) string { return "${file:" + h.path(name) + "}" }
	h.config = h.write(t, "relayd.yaml", fmt.Sprintf(`version: 1
timeouts: {connect: 2s}
admin: {token-file: %[1]s/token}
log: {level: debug, rate: off}
listeners:
  program: {on: 127.0.0.1:0, route: program}
  failing: {on: 127.0.0.1:0, route: failing}
  staged: {on: 127.0.0.1:0, route: staged}
  tls: {on: 127.0.0.1:0, route: echo, tls: {cert: %[1]s/cert.pem, key: %[1]s/key.pem}}
  tunnel: {on: "tls://127.0.0.1:0?tunnel_key=%[1]s/tunnel.key", route: echo}
  proxied: {on: 127.0.0.1:0, route: forwarded, proxy-from: 127.0.0.0/8}
  checked: {on: 127.0.0.1:0, route: checked}
  broken: {on: 127.0.0.1:0, route: broken}
routes:
  program: {upstream: program}
  failing: {upstream: failing}
  broken: {upstream: echo, up: ["exec:\"/bin/sh -c 'exit 3' x %[9]s\""]}
  staged:
    upstream: echo
    up: ['exec:"/bin/sh -c cat x %[2]s"']
    down: ['count,exec:"/bin/sh -c cat x %[3]s"']
  echo: {upstream: echo}
  forwarded: {upstream: forwarded, send-proxy: v2-tlv}
  checked: {upstream: checked}
upstreams:
  program: {targets: ['exec:///bin/sh?arg=-c&arg=cat&arg=x&arg=%[4]s']}
  failing: {targets: ['exec:///bin/sh?arg=-c&arg=exit%%203&arg=x&arg=%[5]s']}
  echo: {targets: ["echo:"]}
  forwarded: {targets: [%[8]q]}
  checked: {targets: [%[8]q], check: {every: 100ms, timeout: 500ms, send: "AUTH %[6]s", expect: "%[7]s"}}
`, dir, file("stage"), file("several"), file("argument"), file("failing"), file("send"), file("expect"), upstream, file("broken")))
	return h
}

// selfSigned makes a certificate and its key, and returns what of it is secret.
func selfSigned(t *testing.T, name string) (cert, key string, private []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"relayd.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	if private, err = k.Bytes(); err != nil {
		t.Fatal(err)
	}
	text := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return text("CERTIFICATE", der), text("PRIVATE KEY", pkcs), private
}

// Nothing that relayd prints, logs or answers has a secret in it, whatever it is
// asked and whatever goes wrong: the token, keys, what files of ${file:…} hold,
// the environment, what conns carry, and what wrong clients come with.
func TestNoSecretIsSaid(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			leak.Check(t)
			dir := shortDir(t)
			h := newSecretHouse(t, dir, strings.TrimPrefix(echoServer(t), "tcp://"))
			manager := listenNotify(t, h)
			d := startDaemon(t, dir, h.env, "-c", h.config, "--log-format", format)
			d.flags = append(d.flags, "--admin-token-file", h.path("token"))
			said := func(where, text string) { h.vault.find(t, where, text) }

			conns := h.talk(t, d)
			h.askAll(t, d, said)
			h.watch(t, d, said)
			h.fail(t, d, said)
			h.reloads(t, d, said)
			h.askAll(t, d, said)
			for _, name := range []string{"cmdline", "status"} {
				text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", d.cmd.Process.Pid, name))
				said("/proc: "+name, string(text))
			}
			ready, _ := os.ReadFile(h.path("ready"))
			said("the ready file", string(ready))
			for _, c := range conns {
				c.Close()
			}
			d.end()
			said("standard output and the log", d.out.String())
			said("what the manager is told", manager())
			for _, want := range []string{"conn ended", "reload failed", "conn lives", "goroutine ", "stage-failed", "tls-failed", "${file:"} {
				if !strings.Contains(d.out.String(), want) {
					t.Errorf("the log has no %q, so that this test shows nothing: %s", want, &d.out)
				}
			}
		})
	}
}

// listenNotify is a service manager. What it returns ends it, and says what it was
// told.
func listenNotify(t *testing.T, h *secretHouse) func() string {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: h.path("notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	h.env = append(h.env, "NOTIFY_SOCKET="+h.path("notify"))
	var told spoken
	ended := make(chan error, 1)
	t.Cleanup(func() { c.Close() })
	go func() {
		for buf := make([]byte, 4096); ; {
			n, err := c.Read(buf)
			if err != nil {
				ended <- err
				return
			}
			told.Write(buf[:n])
		}
	}()
	return func() string {
		c.Close()
		<-ended
		return told.String()
	}
}

// at returns where a listener of the file listens, by its place in it.
func (h *secretHouse) at(t *testing.T, d *daemon, i int) string {
	t.Helper()
	list := d.addrs()
	if i >= len(list) {
		t.Fatalf("it listens at %v", list)
	}
	_, at, _ := strings.Cut(list[i], "://")
	at, _, _ = strings.Cut(at, "?")
	return at
}

// The listeners, in the order of the file.
const (
	programAt = iota
	failingAt
	stagedAt
	tlsAt
	tunnelAt
	proxiedAt
	checkedAt
	brokenAt
)

// talk opens conns of all sorts, which carry secrets, and leaves them open.
func (h *secretHouse) talk(t *testing.T, d *daemon) (conns []net.Conn) {
	t.Helper()
	carried := h.vault.mark("what is carried")
	open := func(i int) net.Conn {
		c, err := net.Dial("tcp", h.at(t, d, i))
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(scriptPatience))
		conns = append(conns, c)
		return c
	}
	echo := func(c net.Conn) {
		t.Helper()
		io.WriteString(c, carried)
		got := make([]byte, len(carried))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != carried {
			t.Fatalf("%q, %v, %s", got, err, &d.out)
		}
	}
	echo(open(programAt))
	echo(open(stagedAt))
	client := tls.Client(open(tlsAt), &tls.Config{InsecureSkipVerify: true, ServerName: "relayd.example"})
	echo(client)
	var header preface.Header
	header.Set(0xe0, []byte(h.vault.mark("a TLV of a PROXY header")))
	header.Set(0x05, []byte(h.vault.mark("the id of a PROXY header")))
	b, err := header.Append(nil, 2)
	if err != nil {
		t.Fatal(err)
	}
	proxied := open(proxiedAt)
	proxied.Write(b)
	io.WriteString(proxied, carried)
	if _, err := io.ReadFull(proxied, make([]byte, len(carried))); err != nil {
		t.Fatalf("%v, %s", err, &d.out)
	}
	return conns
}

// askAll asks for all that relayd tells of itself.
func (h *secretHouse) askAll(t *testing.T, d *daemon, said func(where, text string)) {
	t.Helper()
	token := http.Header{"Authorization": {"Bearer " + string(h.vault["token"])}}
	if !within(t, func() bool {
		return strings.Contains(d.ask("GET", "/v1/upstreams", "", token), "is not in the answer")
	}) {
		t.Fatal("no check fails")
	}
	list := d.ask("GET", "/v1/conns", "", token)
	var ids []string
	var conns struct{ Conns []struct{ ID string } }
	json.Unmarshal([]byte(list[strings.Index(list, "{"):]), &conns)
	for _, c := range conns.Conns {
		ids = append(ids, c.ID)
	}
	if len(ids) < 4 {
		t.Fatalf("there are the conns %v: %s", ids, list)
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/v1/openapi.yaml", "/v1/conns", "/v1/routes", "/v1/upstreams", "/v1/upstreams/program/targets/x",
		"/v1/drain", "/v1/resources", "/v1/resources?orphans=true", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/nowhere"} {
		said(path, d.ask("GET", path, "", token))
	}
	for _, id := range ids {
		said("conn", d.ask("GET", "/v1/conns/"+id, "", token))
		said("inspect", d.run("inspect", id))
		said("ps", d.run("ps", id))
	}
	for _, command := range [][]string{{"ps"}, {"ps", "--json"}, {"ps", "--tree"}, {"ps", "--tree", "--json"}, {"ps", "--orphans"}, {"upstreams"}, {"upstreams", "--json"},
		{"upstreams", "drain", "program/nowhere"}, {"kill", "--dry-run", "--filter", "all=true"}, {"stages", "add", "up", "count", "--route", "staged", "--dry-run"},
		{"stages", "rm", "up", "nowhere", "--route", "staged"}, {"stages", "rm", "down", "exec", "--route", "staged", "--dry-run"},
		{"reload", "--dry-run"}, {"reload", "--dry-run", "--json"}} {
		said(strings.Join(command, " "), d.run(command...))
	}
	d.flags, ids = nil, d.flags
	for _, command := range [][]string{{"check", "-c", h.config}, {"config", "print", "-c", h.config}, {"config", "print", "-c", h.config, "--origins"}} {
		said(strings.Join(command, " "), d.run(command...))
	}
	d.flags = ids
	d.cmd.Process.Signal(syscall.SIGUSR1)
	d.says("conn lives")
	d.cmd.Process.Signal(syscall.SIGQUIT)
	d.says("dumped")
}

// watch looks at top, with the conns in all of its rows.
func (h *secretHouse) watch(t *testing.T, d *daemon, said func(where, text string)) {
	t.Helper()
	x := newTerminal(t)
	top := x.start(append([]string{"top"}, d.flags...)...)
	x.want("127.0.0.1:")
	x.press("jjjj")
	x.press("q")
	x.ends(top, 0)
	said("top", x.all.String())
}

// inVain opens a conn that comes to nothing, maybe before it was open.
func (h *secretHouse) inVain(t *testing.T, at, first string) {
	t.Helper()
	c, err := net.Dial("tcp", at)
	if errors.Is(err, syscall.ECONNRESET) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(scriptPatience))
	io.WriteString(c, first)
	c.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, c)
}

// fail opens conns that come to nothing, and asks what is refused.
func (h *secretHouse) fail(t *testing.T, d *daemon, said func(where, text string)) {
	t.Helper()
	wrong := h.vault.mark("what is carried in vain")
	for i, first := range map[int]string{failingAt: wrong, tlsAt: "GET /" + wrong + " HTTP/1.1\r\n\r\n", tunnelAt: wrong, proxiedAt: "PROXY TCP4 " + wrong + "\r\n", checkedAt: wrong, brokenAt: wrong} {
		h.inVain(t, h.at(t, d, i), first)
	}
	d.says("tls-failed")
	header := http.Header{"Authorization": {"Bearer " + h.vault.mark("a wrong token")}, "X-Other": {h.vault.mark("another header")}}
	said("a wrong token", d.ask("GET", "/v1/conns?x="+h.vault.mark("a query"), "", header))
	said("a wrong token", d.ask("POST", "/v1/kill", h.vault.mark("a body"), header))
	ours := d.flags
	d.flags = []string{"--admin", d.admin, "--admin-token-file", h.write(t, "wrong", h.vault.mark("another wrong token"))}
	said("ps with a wrong token", d.run("ps"))
	d.flags = ours

	// A near end with another key.
	other, err := socket.NewKey(true)
	if err != nil {
		t.Fatal(err)
	}
	h.write(t, "other.key", string(other.File))
	_, text, _ := strings.Cut(strings.TrimSpace(string(other.File)), "key:")
	h.vault["another tunnel key"], _ = base64.StdEncoding.DecodeString(text)
	near := h.path("near")
	if err := os.MkdirAll(near, 0o700); err != nil {
		t.Fatal(err)
	}
	e := startDaemon(t, near, h.env, "-l", "127.0.0.1:0", "-t", h.at(t, d, tunnelAt), "--wrap", "gzip", "--key", h.path("other.key"), "--log-level", "debug")
	h.inVain(t, h.at(t, e, 0), wrong)
	e.end()
	if !strings.Contains(e.out.String(), "keys that do not belong together") {
		t.Errorf("the near end says %s", &e.out)
	}
	said("the near end", e.out.String())
}

// reloads has relayd read files that have become nonsense, one after the other.
func (h *secretHouse) reloads(t *testing.T, d *daemon, said func(where, text string)) {
	t.Helper()
	for name, form := range map[string]string{
		"send": "%s\\q", "expect": "%s\\", "stage": "%s | $(nothing)", "several": "%s' \x01", "argument": "%s%%zz&nothing=x", "failing": "%s\n", "relayd.yaml": "version: 1\nlisteners: {x: \"%s\"}\n",
	} {
		before, err := os.ReadFile(h.path(name))
		if err != nil {
			t.Fatal(err)
		}
		h.write(t, name, fmt.Sprintf(form, h.nonsense(name)))
		said("reload, with another "+name, d.run("reload"))
		said("reload --dry-run, with another "+name, d.run("reload", "--dry-run"))
		ours := d.flags
		d.flags = nil
		said("check, with another "+name, d.run("check", "-c", h.config))
		d.flags = ours
		h.write(t, name, string(before))
	}
	for _, name := range []string{"key.pem", "tunnel.key", "cert.pem"} {
		before, err := os.ReadFile(h.path(name))
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{"%s", "-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n", "relayd-shared-key:%s\n"} {
			h.write(t, name, fmt.Sprintf(form, h.nonsense(name)))
			said("reload, with another "+name, d.run("reload"))
			text := h.config
			said("a start, with another "+name, startFails(t, "-c", text, "--admin", "none", "--admin-token-file", ""))
		}
		h.write(t, name, string(before))
	}
	token, _ := os.ReadFile(h.path("token"))
	for _, form := range []string{"%s and more", "\x1b%s"} {
		h.write(t, "token", fmt.Sprintf(form, h.nonsense("token")))
		said("ps, with another token", d.run("ps"))
		said("a start, with another token", startFails(t, "-c", h.config, "--admin", filepath.Join(h.dir, "other.sock")))
	}
	h.write(t, "token", string(token))
	said("reload", d.run("reload"))
}

// nonsense is a secret that will not do. (That of a configuration is none: what is
// wrong with it is said.)
func (h *secretHouse) nonsense(name string) string {
	if name == "relayd.yaml" {
		return "nonsense"
	}
	return h.vault.mark(fmt.Sprintf("%s, as it has become (%d)", name, len(h.vault)))
}

// startFails is what a relayd says that does not start; one that does is ended.
func startFails(t *testing.T, args ...string) string {
	t.Helper()
	relayd, err := exec.LookPath("relayd")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(relayd, args...)
	var out spoken
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(scriptPatience, func() { cmd.Process.Kill() })
	defer late.Stop()
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() < 0 {
		t.Errorf("%q: it has started, or did not end: %v", args, err)
	}
	return out.String()
}
