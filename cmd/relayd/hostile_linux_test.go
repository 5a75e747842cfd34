package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"relayd/relay/preface"
	"relayd/tests/leak"
)

// A hostileHouse is a relayd to which everybody is hostile.
type hostileHouse struct {
	*daemon
	path  string // of a socket file that clients come from
	cert  tls.Certificate
	conns []net.Conn
}

// hostileText is what all say. It has no NUL, which no path has.
var hostileText = strings.ReplaceAll(strings.Join(hostile, "|"), "\x00", "")

// hostilePath is a part of a path, written for an address.
func hostilePath(short bool) string {
	text := strings.ReplaceAll(hostileText, "/", "")
	if short { // the path of a socket has 107 bytes
		text = "\x1b[2J\u009b1m\u202e\xff\a\x7f\n"
	}
	return url.PathEscape(text)
}

// badServer answers with the text whatever it is asked.
func badServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				ended <- err
				return
			}
			io.WriteString(c, hostileText)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-ended
	})
	return ln.Addr().String()
}

// startHostile starts it.
func startHostile(t *testing.T, dir, format string) *hostileHouse {
	t.Helper()
	h := &hostileHouse{path: filepath.Join(dir, "\x1b[2J\u009b1m\u202e\xff\a")}
	cert, key, _ := selfSigned(t, strings.ToValidUTF8(hostileText, ""))
	var err error
	if h.cert, err = tls.X509KeyPair([]byte(cert), []byte(key)); err != nil {
		t.Fatal(err)
	}
	shown := "#!/bin/sh\ncat " + filepath.Join(dir, "said") + " >&2\nexec cat\n"
	for name, text := range map[string]string{"cert.pem": cert, "key.pem": key, "said": hostileText + "\n" + strings.Repeat("\x1b[31m", 5000) + "\n", "program": shown} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	file := strings.ReplaceAll(hostileText, "/", "")
	config := filepath.Join(dir, "relayd.yaml")
	text := fmt.Sprintf(`version: 1
log: {level: debug, rate: off}
listeners:
  matched: {on: 127.0.0.1:0, match: [{sni: relayd.example, route: echo}]}
  proxied: {on: 127.0.0.1:0, route: forwarded, proxy-from: 127.0.0.0/8}
  plain: {on: "unix://%[1]s/%[2]s.sock", route: program}
  tls: {on: 127.0.0.1:0, route: echo, tls: {cert: %[1]s/cert.pem, key: %[1]s/key.pem, client-ca: %[1]s/cert.pem, allow-cn: nobody}}
  checked: {on: 127.0.0.1:0, route: checked}
  teed: {on: 127.0.0.1:0, route: teed}
  lost: {on: 127.0.0.1:0, route: lost}
routes:
  echo: {upstream: echo}
  forwarded: {upstream: echo, send-proxy: v2-tlv}
  program: {upstream: program, up: ["exec:%[1]s/program"]}
  checked: {upstream: checked}
  teed: {upstream: echo, up: [%[3]q, %[4]q]}
  lost: {upstream: lost}
upstreams:
  echo: {targets: ["echo:"]}
  program: {targets: ["exec://%[1]s/program?arg=%[5]s"]}
  checked: {targets: ["%[6]s"], check: {every: 100ms, send: "x", expect: "\\x1b[31m\\x9b"}}
  lost: {targets: ["unix:///nowhere/%[2]s"]}
`, dir, hostilePath(true), "tee:"+strconv.Quote(dir+"/"+file), "pcapng:"+strconv.Quote("/nowhere/"+file), hostilePath(false), badServer(t))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	h.daemon = startDaemon(t, dir, nil, "-c", config, "--log-format", format)
	return h
}

// The listeners, in the order of the file.
const (
	matchedAt = iota
	proxiedUnixAt
	plainAt
	refusingAt
	badAt
	teedAt
	lostAt
)

// open opens a conn, from a socket of a hostile path where that can be.
func (h *hostileHouse) open(i int) net.Conn {
	h.t.Helper()
	kind, at, _ := strings.Cut(h.addrs()[i], "://")
	at, _, _ = strings.Cut(at, "?")
	var d net.Dialer
	if kind == "unix" {
		at, _ = url.PathUnescape(at)
		d.LocalAddr = &net.UnixAddr{Name: fmt.Sprintf("%s%d", h.path, len(h.conns)), Net: "unix"}
	} else {
		kind = "tcp"
	}
	c, err := d.Dial(kind, at)
	if errors.Is(err, syscall.ECONNRESET) {
		near, far := net.Pipe() // it was refused so soon
		far.Close()
		c, err = near, nil
	}
	if err != nil {
		h.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(scriptPatience))
	h.conns = append(h.conns, c)
	return c
}

// hostileActs are what clients, upstreams and files do to it. Those conns that can
// stay do.
var hostileActs = []struct {
	name string
	do   func(h *hostileHouse)
}{
	{"SNI that no route is for", func(h *hostileHouse) {
		for _, name := range []string{hostileText, "\x1b[31m.example", strings.Repeat("x", 255), "evil\u202e.example"} {
			tls.Client(h.open(matchedAt), &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake()
		}
	}},
	{"SNI and ALPN where TLS ends", func(h *hostileHouse) {
		c := tls.Client(h.open(refusingAt), &tls.Config{ServerName: hostileText, InsecureSkipVerify: true, NextProtos: []string{hostileText}})
		c.Handshake()
	}},
	{"the name in a certificate", func(h *hostileHouse) {
		c := tls.Client(h.open(refusingAt), &tls.Config{ServerName: "relayd.example", InsecureSkipVerify: true, Certificates: []tls.Certificate{h.cert}})
		io.WriteString(c, "hello")
		c.Read(make([]byte, 1))
	}},
	{"no TLS", func(h *hostileHouse) { h.ends(refusingAt, hostileText) }},
	{"PROXY header of version 1", func(h *hostileHouse) {
		h.ends(proxiedUnixAt, "PROXY TCP4 "+hostileText+"\r\n")
		h.ends(proxiedUnixAt, "PROXY UNKNOWN "+hostile[0]+"\r\n")
	}},
	{"TLVs and paths of PROXY headers", func(h *hostileHouse) {
		for _, header := range []preface.Header{{Unix: true, SourcePath: "/\x1b[31m\u009b\u202e\xff\n", DestinationPath: "\x1b[2J"}, {Unix: true, SourcePath: "@\x1b[31m"}, {}} {
			header.TLVs = []preface.TLV{{Type: preface.TypeAuthority, Value: []byte(hostileText)}, {Type: preface.TypeALPN, Value: []byte(hostileText)},
				{Type: preface.TypeNetNS, Value: []byte(hostileText)}, {Type: preface.TypeUniqueID, Value: []byte(hostileText[:64])}, {Type: 0xe0, Value: []byte(hostileText)}}
			b, err := header.Append(nil, 2)
			if err != nil {
				h.t.Fatal(err)
			}
			c := h.open(proxiedUnixAt)
			c.Write(append(b, hostileText...))
			c.Read(make([]byte, 1))
		}
	}},
	{"a Unix socket, and what programs write to standard error", func(h *hostileHouse) {
		c := h.open(plainAt)
		io.WriteString(c, hostileText)
		if _, err := io.ReadFull(c, make([]byte, len(hostileText))); err != nil {
			h.t.Error(err)
		}
	}},
	{"files of stages", func(h *hostileHouse) { h.ends(teedAt, hostileText) }},
	{"an upstream that is not there", func(h *hostileHouse) { h.ends(lostAt, hostileText) }},
	{"an upstream that answers checks as it likes", func(h *hostileHouse) {
		if !within(h.t, func() bool { return strings.Contains(h.ask("GET", "/v1/upstreams", "", nil), "is not in the answer") }) {
			h.t.Error("no check has failed")
		}
		h.ends(badAt, hostileText)
	}},
	{"requests of the API", func(h *hostileHouse) {
		for _, path := range []string{"/" + url.PathEscape(hostileText), "/v1/conns/" + url.PathEscape(hostileText), "/v1/conns?state=" + url.QueryEscape(hostileText), "/v1/conns?" + url.QueryEscape(hostileText) + "=x"} {
			h.tame("the answer to "+path, h.ask("GET", path, "", nil))
		}
		h.tame("an answer", h.ask("POST", "/v1/kill", hostileText, nil))
		h.tame("an answer", h.ask("POST", "/v1/stages", `{"op":"`+"\u009b\u202e"+`"}`, nil))
	}},
}

// ends opens a conn that says something, and waits for its end.
func (h *hostileHouse) ends(i int, first string) {
	c := h.open(i)
	io.WriteString(c, first)
	if x, ok := c.(interface{ CloseWrite() error }); ok {
		x.CloseWrite()
	}
	io.Copy(io.Discard, c)
}

// tame complains of a text that steers a terminal.
func (h *hostileHouse) tame(what, text string) {
	h.t.Helper()
	if !isTame(strings.ReplaceAll(text, "\r\n", "\n")) {
		at := untame(text)
		h.t.Errorf("%s: %.300q", what, text[at:])
	}
}

// Whatever clients, upstreams, programs and files are called and say, nothing of it
// reaches a terminal as it is: by the log, by what relayd prints at its start, by the
// commands that ask it, or by the API.
func TestTerminalsAreNotSteered(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			leak.Check(t)
			dir := shortDir(t)
			h := startHostile(t, dir, format)
			for _, act := range hostileActs {
				before := h.out.String()
				act.do(h)
				after := h.out.String()
				h.tame("the log, of "+act.name, after[len(before):])
			}
			h.look()
			for _, c := range h.conns {
				c.Close()
			}
			h.end()
			h.tame("the log", h.out.String())
			for _, want := range []string{"stderr", "tls-failed", "stage-failed", "dial-failed", "conn lives", "dumped"} {
				if !strings.Contains(h.out.String(), want) {
					t.Errorf("the log has no %q, so that this test shows nothing: %s", want, &h.out)
				}
			}
		})
	}
}

// look asks it for everything, by commands and by the API.
func (h *hostileHouse) look() {
	h.t.Helper()
	var conns struct{ Conns []struct{ ID string } }
	list := h.ask("GET", "/v1/conns", "", nil)
	json.Unmarshal([]byte(list[strings.Index(list, "{"):]), &conns)
	if len(conns.Conns) == 0 {
		h.t.Fatalf("no conns: %s", list)
	}
	for _, path := range []string{"/v1/conns", "/v1/routes", "/v1/upstreams", "/v1/resources", "/metrics", "/debug/pprof/goroutine?debug=2"} {
		h.tame(path, h.ask("GET", path, "", nil))
	}
	commands := [][]string{{"ps"}, {"ps", "--json"}, {"ps", "--tree"}, {"ps", "--tree", "--json"}, {"ps", "--orphans"}, {"upstreams"}, {"upstreams", "--json"}, {"upstreams", "down", "lost/x"},
		{"stages", "add", "up", "count", "--route", "teed"}, {"stages", "rm", "up", "x", "--route", "teed"}, {"reload"}}
	for _, c := range conns.Conns {
		commands = append(commands, []string{"inspect", c.ID}, []string{"inspect", c.ID, "--json"}, []string{"ps", c.ID})
	}
	for _, command := range commands {
		h.tame(strings.Join(command, " "), h.run(command...))
	}
	x := newTerminal(h.t)
	top := x.start("top", "--admin", h.admin)
	x.want("conns, up")
	for range conns.Conns {
		x.press("j")
	}
	x.want("\x1b[7m>")
	x.press("q")
	x.ends(top, 0)
	for _, text := range append(hostile[1:], "\u009b", "\u202e", "\xff") {
		if strings.Contains(x.all.String(), text) {
			h.t.Errorf("top shows %q: %q", text, &x.all)
		}
	}
	h.cmd.Process.Signal(syscall.SIGUSR1)
	h.says("conn lives")
	h.cmd.Process.Signal(syscall.SIGQUIT)
	h.says("dumped")
	h.taps()
	for _, c := range conns.Conns {
		h.tame("kill", h.run("kill", c.ID))
	}
}

// taps follows a conn that carries what terminals obey.
func (h *hostileHouse) taps() {
	h.t.Helper()
	for _, flag := range []string{"--text=false", "--text"} {
		c := h.open(plainAt)
		echo := func() {
			io.WriteString(c, hostileText)
			io.ReadFull(c, make([]byte, len(hostileText)))
		}
		echo()
		var conns struct{ Conns []struct{ ID string } }
		list := h.ask("GET", "/v1/conns?listener=plain", "", nil)
		json.Unmarshal([]byte(list[strings.Index(list, "{"):]), &conns)
		var out spoken
		ended := make(chan int)
		go func() {
			ended <- realMain([]string{"tap", conns.Conns[len(conns.Conns)-1].ID, flag, "--admin", h.admin}, &out, &out)
		}()
		if !within(h.t, func() bool { echo(); return strings.Count(out.String(), "[2J") >= 2 }) {
			h.t.Errorf("tap shows %s", &out)
		}
		c.Close()
		<-ended
		h.tame("tap "+flag, out.String())
	}
}
