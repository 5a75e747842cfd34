package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// checkText decodes and checks, and returns the problems.
func checkText(text string) (*Config, *Problems) {
	c, p := decodeText(text)
	c.Check(p)
	return c, p
}

// Files that are wrong in many ways, and all that is said about them.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(path)
		c, p := decode(name, text, noEnvironment, noFiles)
		c.Check(p)
		golden := strings.TrimSuffix(path, ".yaml") + ".txt"
		if *update {
			if err := os.WriteFile(golden, []byte(p.Error()+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if got := p.Error() + "\n"; err != nil || got != string(want) {
			t.Errorf("%s: got\n%swant (%v)\n%s", name, got, err, want)
		}
	}
}

const (
	good = `version: 1
listeners: {web: {on: ":80", route: web}}
routes: {web: {upstream: web}}
upstreams: {web: {targets: [10.0.0.1:80]}}
`
	head = "version: 1\n"
)

// One thing is wrong with each, and one line says so.
func TestErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", "relayd.yaml:1:1: the file is empty: it begins with version: 1"},
		{"# nothing\n", "the file is empty"},
		{"- a\n", "relayd.yaml:1:1: the file is a list, and not a mapping"},
		{"# \uFFFD\nversion: 1\nuser: \xff\n", "relayd.yaml:3:7: this is not UTF-8"},
		{good + "log: {level: 5}\n", `log.level: this is a number, and not a text: "5" is not a level`},
		{good + "user: 5\n", `user: this is a number, and not a text: write it in quotes, as "5"`},
		{strings.Replace(good, "targets:", "eject: {max-ejected: 50}, targets:", 1), `max-ejected: this is a number, and not a text: "50" is not a part of a hundred, such as 50%`},
		{"hello", "the file is a text"},
		{"version: 1\n---\nversion: 1\n", "this is not YAML"},
		{good + "a: b: c\n", "relayd.yaml:5:"},
		{good + "log:\n\tlevel: info\n", "relayd.yaml:6:"},
		{"version: 1\nlog: \xff\n", "relayd.yaml:2:6: this is not UTF-8"},
		{strings.TrimPrefix(good, head), "relayd.yaml:1:1: version is missing: write version: 1"},
		{"version: 3\n" + strings.TrimPrefix(good, head), `relayd.yaml:1:10: version: "3" is not a version that this relayd reads: write 1`},
		{"version: '1'\n" + strings.TrimPrefix(good, head), "version: this is a text: write the number without quotes"},
		{good + "timeout: {}\n", "relayd.yaml:5:1: timeout: there is no such key; did you mean timeouts?"},
		{good + "timeouts: {half_closed: 5m}\n", "timeouts.half_closed: there is no such key; did you mean half-closed?"},
		{good + "nothing-like-it: 1\n", "there is no such key; there are version, listeners"},
		{good + "log: {level: info, level: warn}\n", "relayd.yaml:5:20: log.level: the key is there twice: it is in line 5 already"},
		{good + "log: [a]\n", "relayd.yaml:5:6: log: this is a list, and not a mapping of format, level, every, rate"},
		{good + "log: text\n", "log: this is a text, and not a mapping"},
		{good + "log: {rate: [1]}\n", "log.rate: this is a list, and not one value"},
		{good + "log: {every: 30}\n", `log.every: "30" has no unit: write 500ms, 30s, 5m, 1h30m, or off`},
		{good + "log: {every: soon}\n", `"soon" is not a time`},
		{good + "log: {every: -5s}\n", `"-5s" is not a time`},
		{good + "log: {rate: 1.5}\n", `"1.5" is not a number from 0 to 1000000000, or off`},
		{good + "log: {rate: 99999999999999999999}\n", "log.rate: this number is too large"},
		{good + "log: {rate: .inf}\n", "log.rate: this number is too large"},
		{good + "log: {rate: !!binary aGk=}\n", `tags such as "!!binary" have no meaning here`},
		{good + "user: 1000\n", `user: this is a number, and not a text: write it in quotes, as "1000"`},
		{good + "user: yes please\nuser2: x\n", "user2: there is no such key; did you mean user?"},
		{good + "log: {format: jsn}\n", `log.format: "jsn" is not one of text, json; did you mean json?`},
		{good + "sandbox: {mode: true}\n", `this is true or false, and not a text: "true" is not one of try, on, off`},
		{good + "user: ~\n", "user: there is no value: give one, or leave the key out"},
		{good + "user: ${HOME}\n", "relayd.yaml:5:7: user: the environment has no HOME: set it, or write ${HOME:-DEFAULT}"},
		{good + "? [a]\n: b\n", "a key is a list, and not a word"},
		{good + "~: b\n", "a key is nothing, and not a word"},
		{good + "log: &l {level: info}\nadmin: {<<: *l}\n", "admin.<<: there is no such key: mappings are not merged"},
		{good + "admin: {listen: exec:///bin/cat}\n", "the admin API is at a Unix socket or a TCP port"},
		{good + "admin: {listen: \"127.0.0.1:99\"}\n", "over TCP there must be a token: write admin.token-file"},
		{good + "admin: {listen: \":80\", token-file: /t}\n", "admin.listen: tcp://:80 is in the way of tcp://:80 of listeners.web.on"},
		{good + "limits: {nofile: 10}\n", "limits.nofile: 10 is not enough for relayd and a few conns"},
		{good + "limits: {nofile: off}\n", `limits.nofile: "off" is not auto, or a number from 1 to 2147483647`},
		{good + "sandbox: {paths: '/a:w'}\n", `sandbox.paths[0]: "/a:w" is not PATH, which is read, or PATH:rw`},
		{head, "listeners: there is none"},
		{strings.Replace(good, "route: web", "route: wbe", 1), "relayd.yaml:2:37: listeners.web.route: there is no route wbe; did you mean web?"},
		{strings.Replace(good, ", route: web", "", 1), "relayd.yaml:2:13: listeners.web: it leads nowhere: give it a route"},
		{strings.Replace(good, "upstream: web", "upstream: other", 1), "routes.web.upstream: there is no upstream other; there are web"},
		{strings.Replace(good, "upstream: web", "upstream: other", 1), "relayd.yaml:4:13: upstreams.web: warning: no route leads to this upstream"},
		{strings.Replace(good, "{web: {on", "{we b: {on", 1), `listeners: "we b" is not a name`},
		{strings.Replace(good, "{web: {on", "{\"${W}\": {on", 1), `listeners: "${W}" is not a name`},
		{strings.Replace(good, "[10.0.0.1:80]", "[10.0.0.1:80, {address: \"10.0.0.1:80\"}]", 1), `targets[1]: it has the same name as targets[0]`},
		{strings.Replace(good, "[10.0.0.1:80]", "[10.0.0.1:0]", 1), `upstreams.web.targets[0].address: port 0 cannot be dialled`},
		{strings.Replace(good, "[10.0.0.1:80]", "[10.0.0.1:80], resolve: {srv: true}", 1), `with resolve.srv a target is a name with port 0`},
		{strings.Replace(good, "[10.0.0.1:80]", "[]", 1), `upstreams.web.targets: the list is empty`},
		{strings.Replace(good, "[10.0.0.1:80]", "[10.0.0.1:80], check: {send: hi}", 1), `upstreams.web.check.send: warning: nothing is checked, because check.every is off`},
		{strings.Replace(good, "[10.0.0.1:80]", "[10.0.0.1:80], check: {send: 'a\\q'}", 1), `begins no escape`},
		{strings.Replace(good, "[10.0.0.1:80]", "[10.0.0.1:80], retry: {backoff: {min: 2s}}", 1), `retry.backoff.min: 2s is more than max, 1s`},
		{strings.Replace(good, "[10.0.0.1:80]", "[10.0.0.1:80], eject: {for: 0}", 1), `eject.for: this time cannot be off`},
		{strings.Replace(good, "upstream: web", "upstream: web, wrap: [zstd, count]", 1), `routes.web.wrap: "zstd,count": `},
		{strings.Replace(good, "upstream: web", "upstream: web, at: wire", 1), `routes.web.at: wire is a side of a tunnel, and there is neither wrap nor unwrap`},
		{strings.Replace(good, "upstream: web", "upstream: web, up: [gzp]", 1), `routes.web.up[0]: parse stage "gzp": byte 1: unknown stage "gzp": did you mean "gzip"?`},
		{strings.Replace(good, "upstream: web", "upstream: web, down: [count, 'tee:tcp://nonsense']", 1), `routes.web.down[1]: stage tee:tcp://nonsense: address "tcp://nonsense": `},
		{strings.Replace(good, "upstream: web", "upstream: web, up: ''", 1), `routes.web.up[0]: there is no stage in it`},
		{strings.Replace(good, "route: web", "route: web, deny: [10.0.0.1/8]", 1), `"10.0.0.1/8" has bits behind its network: write 10.0.0.0/8`},
		{strings.Replace(good, "route: web", "route: web, match: [{sni: a, route: web}, {route: web}]", 1), `listeners.web.match[1]: it has neither sni nor alpn`},
		{strings.Replace(good, `":80"`, `":80", tls: {tunnel-key: /k}, match: [{alpn: h2, route: web}]`, 1), `relayd.yaml:2:68: listeners.web.match[0].alpn[0]: TLS ends here, and does not agree on h2: tls has no such alpn`},
		{strings.Replace(good, `":80"`, `"tls://:80?cert=/c&alpn=x", match: [{alpn: [x, h2], route: web}]`, 1), `listeners.web.match[0].alpn[1]: TLS ends here`},
		{strings.Replace(good, `":80"`, `"/run/s", allow: [10.0.0.0/8]`, 1), `listeners.web.allow: warning: clients of a Unix socket have no IP address`},
		{strings.Replace(good, `":80"`, `"/run/s", tls: {cert: a, key: b}`, 1), `listeners.web.tls: TLS goes with a TCP port`},
		{strings.Replace(good, `":80"`, `":80", tls: {cert: a, allow_cn: b}`, 1), `listeners.web.tls.allow_cn: there is no such key; did you mean allow-cn?`},
	}
	for _, tt := range tests {
		_, p := checkText(tt.text)
		found := 0
		for _, x := range p.List {
			if strings.Contains(x.String(), tt.want) {
				found++
			}
		}
		if found != 1 {
			t.Errorf("of\n%s\nis said\n%v\nwant %s", tt.text, p, tt.want)
		}
	}
}

// An error in one place hides none in another, and is not told twice.
func TestErrorsHideNoOthers(t *testing.T) {
	_, p := checkText(head + `
listeners:
  a: {on: ":1", route: r, tls: {key: /k}}
  b: {on: ":2", rout: r}
  c: {on: ":3"}
  d: {on: ":4", match: [{route: r}, {sin: a.b, route: r}]}
  e: {on: ":5", route: r, tls: {crt: /c}}
routes: {r: {upstream: u, timeouts: {idle: 30}}}
upstreams:
  u: {targets: [10.0.0.1:1], sources: ["::1"]}
  v: {targets: [10.0.0.1:0]}
`)
	var got []string
	for _, x := range p.List {
		if !x.Warning {
			got = append(got, x.Path)
		}
	}
	want := "listeners.a.tls listeners.b.rout listeners.c listeners.d.match[0] listeners.d.match[1].sin listeners.e.tls.crt routes.r.timeouts.idle upstreams.u upstreams.v.targets[0].address"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("%s, want %s:\n%v", s, want, p)
	}
}

// What is wrong with an element of a list is not told of another one: those that could
// not be read are not in it.
func TestErrorsKeepTheirPlaces(t *testing.T) {
	_, p := checkText(head + `
listeners:
  a: {on: ":1", route: r, tls: {cert: /c, key: /k, alpn: [h2]}, match: [{alpn: [5, http/1.1], route: r}]}
routes: {r: {upstream: u}}
upstreams: {u: {targets: [10.0.0.1:1]}}
`)
	if len(p.List) != 1 || !strings.Contains(p.List[0].Text, "this is a number") {
		t.Errorf("want one error, that a number is no text:\n%v", p)
	}
}

// What comes from a file never reaches a terminal as it is, in no message.
func TestMessagesAreSafeToPrint(t *testing.T) {
	const evil = "\\e[31m\\u009b\\u202e\\r\\n\\x07"
	for _, key := range []string{"a", "version", "listeners", "listeners: {a: {on", "routes: {\"" + evil + "\": {upstream", "log: {format", "log: {level", "log: {every",
		"log: {rate", "limits: {accept-rate", "limits: {nofile", "admin: {listen", "drop-policy", "routes: {a: {up", "routes: {a: {bandwidth: {conn: {up",
		"upstreams: {a: {targets", "upstreams: {a: {sources", "upstreams: {a: {eject: {max-ejected", "upstreams: {a: {check: {send", "listeners: {a: {allow", "listeners: {a: {match: [{sni", "listeners: {a: {match: [{alpn",
		"\"" + evil + "\"", "log: {\"" + evil + "\""} {
		closing := ""
		for i := len(key) - 1; i >= 0; i-- {
			switch key[i] {
			case '{':
				closing += "}"
			case '[':
				closing += "]"
			}
		}
		for _, value := range []string{evil, evil + "${" + evil + "}", "${file:/" + evil + "}", "gzip:" + evil + "=1"} {
			_, p := decode("file"+evil+"\x1b.yaml", []byte(head+key+": \""+value+"\""+closing+"\n"), noEnvironment, noFiles)
			for line := range strings.Lines(p.Error()) {
				if line = strings.TrimSuffix(line, "\n"); strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e' }) {
					t.Errorf("%s: %q", key, line)
				}
			}
		}
	}
}

// A message is no longer than a screen, whatever the file.
func TestMessagesAreShort(t *testing.T) {
	long := strings.Repeat("nonsense,", 6000)
	_, p := checkText(head + "listeners: {a: {on: '" + long + "', route: '" + long + "'}}\nroutes: {a: {up: '" + long + "'}}\n" + long + ": 1\n")
	if p.Errors() < 4 || len(p.Error()) > p.Errors()*(maxProblem+10) {
		t.Errorf("%d errors with %d bytes", p.Errors(), len(p.Error()))
	}
}

// Of very many errors the first are told, and how many more there are.
func TestManyErrors(t *testing.T) {
	var b strings.Builder
	b.WriteString(good)
	for i := range 1000 {
		fmt.Fprintf(&b, "x%d: 1\n", i)
	}
	_, p := checkText(b.String())
	if p.Errors() != 1000 || len(p.List) != maxProblems || !strings.HasSuffix(p.Error(), "\nand 900 errors more") {
		t.Errorf("%d errors, of which %d are told", p.Errors(), len(p.List))
	}
}

// A short file that stands for very much is refused, and what that takes does not
// grow with what it stands for. It is counted in bytes allocated: time says nothing
// on a machine that does more.
func TestAliasBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString(head + "listeners:\n  l: {on: ':80', route: r, match: &m [")
	for range 20_000 {
		b.WriteString("{sni: a, route: r},")
	}
	b.WriteString("]}\n")
	for i := range 20_000 {
		fmt.Fprintf(&b, "  l%d: {on: ':0', route: r, match: *m}\n", i)
	}
	p, allocated := decodeCounted(b.String())
	if !strings.Contains(p.Error(), "stands for more than") {
		t.Errorf("%d errors: %.300s", p.Errors(), p.Error())
	}
	if allocated > 2<<30 {
		t.Errorf("it took %d MiB", allocated>>20)
	}
	// Aliases in aliases: each line is ten times the one before it, 10²⁰ in all.
	for _, place := range []string{"sandbox: {paths: %s}\n", "listeners: {l: {on: ':80', route: r, match: %s}}\n", "upstreams: {u: {targets: %s}}\n", "nothing: %s\n"} {
		laughs := "&a0 [x]"
		for i := range 20 {
			laughs = fmt.Sprintf("&a%d [%s%s]", i+1, laughs, strings.Repeat(fmt.Sprintf(", *a%d", i), 9))
		}
		p, allocated := decodeCounted(head + fmt.Sprintf(place, laughs))
		if p.Errors() == 0 {
			t.Errorf("%s is taken", place)
		}
		if allocated > 256<<20 {
			t.Errorf("%s: it took %d MiB", place, allocated>>20)
		}
	}
	for _, text := range []string{"a: &a [*a]\n", "&a a: *a\n", "listeners: &a {a: *a}\n", "routes: {a: &a {timeouts: *a}}\n", "sandbox: {paths: &a [*a, *a]}\n"} {
		if _, p := decodeText(head + text); p.Errors() == 0 {
			t.Errorf("%q is taken", text)
		}
	}
}

// A file that stands for too much is an error whatever is one too many, the key of a
// mapping included: the rest is not looked at, and relayd must not run with a part of
// what the file says.
func TestTooMuchAtAnyPlace(t *testing.T) {
	for left, whole := 1, false; !whole; left++ {
		c := Default()
		d := &decoder{config: c, problems: new(Problems), left: left}
		d.mapping(d.parse([]byte(good)), reflect.ValueOf(c).Elem(), "")
		whole = d.left > 0
		if n := strings.Count(d.problems.Error(), "stands for more than"); (n == 1) == whole || n > 1 {
			t.Errorf("of %d nodes %d are left: %v", left, d.left, d.problems)
		}
	}
}

// decodeCounted returns what is wrong with a file, and how many bytes were allocated
// to find it.
func decodeCounted(text string) (*Problems, uint64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, p := decodeText(text)
	runtime.ReadMemStats(&after)
	return p, after.TotalAlloc - before.TotalAlloc
}

// Too large is refused before it is looked at.
func TestLargeFile(t *testing.T) {
	if _, p := decodeText(strings.Repeat("#\n", maxFile/2+1)); !strings.Contains(p.Error(), "longer than 4 MiB") {
		t.Error(p)
	}
}

// A file that is not there, or not to be read.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{dir + "/none": "none: cannot be read: no such file", dir: "is a directory"} {
		if _, p := Load(path); !strings.Contains(p.Error(), want) {
			t.Errorf("%s: %v", path, p)
		}
	}
	path := dir + "/relayd.yaml"
	if err := os.WriteFile(path, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	c, p := Load(path)
	c.Check(p)
	if len(p.List) > 0 || c.Summary() != "1 listener, 1 route, 1 upstream" || c.File != path {
		t.Errorf("%v, %s", p, c.Summary())
	}
}

// A handshake takes longer than a header: where TLS ends the default is another.
func TestPrefaceTimeoutOfTLS(t *testing.T) {
	c, p := checkText(head + `
listeners:
  a: {on: ":1", route: r}
  b: {on: "tls://:2?tunnel_key=/k", route: r}
  c: {on: ":3", route: r, tls: {tunnel-key: /k}}
  d: {on: ":4", route: r, tls: {tunnel-key: /k}, preface-timeout: 3s}
  e: {on: ":5", route: r, tls: {tunnel-key: /k}, preface-timeout: off}
routes: {r: {upstream: u}}
upstreams: {u: {targets: 10.0.0.1:1}}
`)
	if len(p.List) > 0 {
		t.Fatal(p)
	}
	for i, want := range []string{"3s", "10s", "10s", "3s", "off"} {
		if got := c.Listeners[i].PrefaceTimeout.String(); got != want {
			t.Errorf("listener %s has %s, want %s", c.Listeners[i].Name, got, want)
		}
	}
}

// A route takes from the timeouts at the top what it does not say, wherever they
// stand; max-linger follows write-stall.
func TestTimeoutsAreInherited(t *testing.T) {
	c, p := checkText(head + `
routes:
  a: {upstream: u, timeouts: {idle: 1h, write-stall: 7s}}
  b: {upstream: u}
  c: {upstream: u, timeouts: {max-linger: 9s, idle: off}}
timeouts: {idle: 2m, connect: 3s, write-stall: 6s}
listeners: {a: {on: ":1", route: a}, b: {on: ":2", route: b}, c: {on: ":3", route: c}}
upstreams: {u: {targets: 10.0.0.1:1}}
`)
	if len(p.List) > 0 {
		t.Fatal(p)
	}
	for i, want := range []string{
		"connect 3s idle 1h write-stall 7s max-linger 7s",
		"connect 3s idle 2m write-stall 6s max-linger 6s",
		"connect 3s idle off write-stall 6s max-linger 9s",
	} {
		x := &c.Routes[i].Timeouts
		if got := fmt.Sprintf("connect %s idle %s write-stall %s max-linger %s", &x.Connect, &x.Idle, &x.WriteStall, &x.MaxLinger); got != want {
			t.Errorf("route %s has %s, want %s", c.Routes[i].Name, got, want)
		}
	}
}
