package socket

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

func ExampleParseAddress() {
	for _, text := range []string{"127.0.0.1:7000", ":80", "/run/db.sock", "unix://@db", "echo:", "tpc://db:5432"} {
		a, err := ParseAddress(text)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(a.Kind, a)
	}
	// Output:
	// tcp tcp://127.0.0.1:7000
	// tcp tcp://:80
	// unix unix:///run/db.sock
	// unix unix://@db
	// echo echo:
	// address "tpc://db:5432": unknown kind "tpc", did you mean "tcp"?
}

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]Address{
		"tcp://localhost:80":           {Kind: TCP, Host: "localhost", Port: 80},
		"localhost:80":                 {Kind: TCP, Host: "localhost", Port: 80},
		"10.0.0.1:65535":               {Kind: TCP, Host: "10.0.0.1", Port: 65535},
		":0":                           {Kind: TCP},
		"tcp://:7000":                  {Kind: TCP, Port: 7000},
		"[::1]:80":                     {Kind: TCP, Host: "::1", Port: 80},
		"tcp://[fe80::1%eth0]:80":      {Kind: TCP, Host: "fe80::1%eth0", Port: 80},
		"[0:0:0:0:0:0:0:1]:080":        {Kind: TCP, Host: "::1", Port: 80},
		"tcp.example:80":               {Kind: TCP, Host: "tcp.example", Port: 80},
		"/run/x.sock":                  {Kind: Unix, Path: "/run/x.sock"},
		"unix:///run/x.sock":           {Kind: Unix, Path: "/run/x.sock"},
		"unix:///run/x.sock?mode=0660": {Kind: Unix, Path: "/run/x.sock", Options: "mode=0660"},
		"unix:///run/x.sock?mode=660":  {Kind: Unix, Path: "/run/x.sock", Options: "mode=0660"},
		"/s?owner=www:www&mode=0600":   {Kind: Unix, Path: "/s", Options: "mode=0600&owner=www:www"},
		"/s?owner=:adm":                {Kind: Unix, Path: "/s", Options: "owner=:adm"},
		"unix://@db?backlog=007":       {Kind: Unix, Path: "db", Abstract: true, Options: "backlog=7"},
		"fd://3":                       {Kind: FD, FD: 3},
		"fd://03?sndbuf=1024":          {Kind: FD, FD: 3, Options: "sndbuf=1KiB"},
		"systemd://http":               {Kind: Systemd, Path: "http"},
		"systemd://a%3Fb":              {Kind: Systemd, Path: "a?b"},
		"stdio:":                       {Kind: Stdio},
		"exec:///bin/cat":              {Kind: Exec, Path: "/bin/cat"},
		"exec:///bin/sh?arg=-c&arg=a%26b%25%20=?&arg=": {
			Kind: Exec, Path: "/bin/sh", Options: "arg=-c&arg=a%26b%25 =?&arg="},
		"exec:///a%20b?grace=1500ms&arg=x": {Kind: Exec, Path: "/a b", Options: "arg=x&grace=1.5s"},
		":80?keepalive=60s/1m/5&nodelay=false": {
			Kind: TCP, Port: 80, Options: "nodelay=false&keepalive=1m/1m/5"},
		":80?keepalive=off&user_timeout=off":     {Kind: TCP, Port: 80, Options: "keepalive=off&user_timeout=off"},
		":80?user_timeout=60m":                   {Kind: TCP, Port: 80, Options: "user_timeout=1h"},
		":80?user_timeout=10m":                   {Kind: TCP, Port: 80, Options: "user_timeout=10m"},
		":80?mark=0x10&rcvbuf=65536&sndbuf=1MiB": {Kind: TCP, Port: 80, Options: "rcvbuf=64KiB&sndbuf=1MiB&mark=16"},
		"h:80?bind=[::1]:0":                      {Kind: TCP, Host: "h", Port: 80, Options: "bind=[::1]"},
		"h:80?bind=10.0.0.1:99":                  {Kind: TCP, Host: "h", Port: 80, Options: "bind=10.0.0.1:99"},
		"h:80?bind=[fe80::1%25eth0]":             {Kind: TCP, Host: "h", Port: 80, Options: "bind=[fe80::1%25eth0]"},
		"/%FF":                                   {Kind: Unix, Path: "/\xff"},
		"unix:///what%3F%25":                     {Kind: Unix, Path: "/what?%"},
		"unix:///a%0Ab":                          {Kind: Unix, Path: "/a\nb"},
		"/späß":                                  {Kind: Unix, Path: "/späß"},
		"unix://@db":                             {Kind: Unix, Path: "db", Abstract: true},
		"unix://@/db":                            {Kind: Unix, Path: "/db", Abstract: true},
		"echo:":                                  {Kind: Echo},
		"discard:":                               {Kind: Discard},
	} {
		got, err := ParseAddress(text)
		if err != nil || got != want {
			t.Errorf("ParseAddress(%q) = %+v, %v; want %+v", text, got, err, want)
			continue
		}
		if again, err := ParseAddress(got.String()); err != nil || again != got {
			t.Errorf("%q becomes %q, which is %+v, %v", text, got, again, err)
		}
	}
}

func TestParseAddressErrors(t *testing.T) {
	for text, reason := range map[string]string{
		"":                                  "it is empty",
		"localhost":                         "it has no port, kind or leading slash",
		"tcp://localhost":                   "it has no port: write HOST:PORT",
		"localhost:":                        "its port is missing",
		"localhost:http":                    `port "http" is not a number from 0 to 65535`,
		"localhost:65536":                   `port "65536" is not a number from 0 to 65535`,
		"localhost:+1":                      `port "+1" is not a number from 0 to 65535`,
		"localhost:-1":                      `port "-1" is not a number from 0 to 65535`,
		"::1:80":                            "an IPv6 address stands in brackets: [::1]:80",
		"[::1:80":                           "it has no port after a bracket: write [IPv6]:PORT",
		"[::1]":                             "it has no port after a bracket: write [IPv6]:PORT",
		"[::1]80":                           "it has no port after a bracket: write [IPv6]:PORT",
		"::1":                               "an IPv6 address stands in brackets, and has no port: write [::1]:PORT",
		"fe80::1%eth0":                      "an IPv6 address stands in brackets, and has no port: write [fe80::1%eth0]:PORT",
		"[fe80::1%a/b]:80":                  `"[fe80::1%a/b]" is not an IPv6 address in brackets`,
		"[fe80::1%a]b]:80":                  `"[fe80::1%a]b]" is not an IPv6 address in brackets`,
		"x:80,y:80":                         `"x:80,y" is not a host`,
		"TCP://x:1":                         `unknown kind "TCP", did you mean "tcp"?`,
		"[1.2.3.4]:80":                      `"[1.2.3.4]" is not an IPv6 address in brackets`,
		"a b:80":                            `"a b" is not a host`,
		"tpc://x:1":                         `unknown kind "tpc", did you mean "tcp"?`,
		"gopher://x:1":                      `unknown kind "gopher"`,
		"tsl://x:1":                         `unknown kind "tsl", did you mean "tls"?`,
		"tls:x:1":                           `two slashes follow "tls:"`,
		"tls://x":                           "it has no port: write HOST:PORT",
		"x:1?cert=/c":                       `option "cert" does not fit: a tcp address takes nodelay, keepalive, user_timeout, rcvbuf, sndbuf, notsent_lowat, backlog, reuseport, fastopen, mptcp, bind, interface, mark, transparent`,
		"tls://x:1?crt=/c":                  `unknown option "crt", did you mean "cert"?`,
		"tls://x:1?cert=%00":                "cert has a zero byte",
		"tls://x:1?min=1.1":                 `min "1.1" is neither 1.2 nor 1.3`,
		"tls://x:1?verify=off":              `verify "off" is not full, pin or insecure`,
		"tls://x:1?client_auth=yes":         `client_auth "yes" is neither require nor optional`,
		"tls://x:1?sni=a/b":                 `sni "a/b" is not a name`,
		"tls://x:1?alpn=":                   `alpn "" is not a protocol's name, such as h2 or http/1.1`,
		"tls://x:1?allow_cn=*":              `allow_cn "*" is neither a name nor *.SUFFIX`,
		"tls://x:1?allow_san=a.example.com": `allow_san "a.example.com" is not DNS:NAME, URI:NAME, IP:ADDRESS or email:ADDRESS`,
		"tls://x:1?allow_san=URI:*.a":       `allow_san "URI:*.a": only names of DNS have a *`,
		"tls://x:1?allow_san=IP:1.2.3":      `allow_san "1.2.3" is not an IP address`,
		"tls://x:1?allow_spki=abc":          `allow_spki "abc" is not a SHA-256 in base64, which has 44 characters`,
		"tls://x:1?peer=hunter2":            "peer is not 32 random bytes in hex or base64 (a password will not do): relayd keygen makes a public key; a file is written with a slash, as ./peer.pub",
		"exec:/bin/cat":                     `two slashes follow "exec:"`,
		"exec://cat":                        "a path begins with a slash, so that there are three: exec:///PATH",
		"exec:///bin/":                      "its path does not name a program",
		"exec:///a?arg=%00":                 "arg has a zero byte",
		"exec:///a?args=x":                  `unknown option "args", did you mean "arg"?`,
		"exec:///a?grace=0":                 `grace "0" is not a duration, such as 2s`,
		"stdio:x":                           `nothing follows "stdio:"`,
		"stdio://":                          `nothing follows "stdio:"`,
		"stdio":                             `did you mean "stdio:"?`,
		"fd://":                             `"" is not the number of a descriptor`,
		"fd://x":                            `"x" is not the number of a descriptor`,
		"systemd://":                        "its name is missing: write the FileDescriptorName of the socket unit",
		"systemd://a:b":                     `"a:b" is not a name that systemd gives to a descriptor`,
		"echo":                              `did you mean "echo:"?`,
		"echo:x":                            `nothing follows "echo:"`,
		"tcp:localhost:80":                  `two slashes follow "tcp:"`,
		"unix:/run/x":                       `two slashes follow "unix:"`,
		"unix://run/x":                      "a path begins with a slash, so that there are three: unix:///PATH",
		"unix://":                           "a path begins with a slash, so that there are three: unix:///PATH",
		"/":                                 "its path is missing",
		"unix://@":                          "its path is missing",
		"@db":                               "an abstract name is written unix://@db",
		"/a%zz":                             "a % in it is not followed by two hexadecimal digits",
		"/a%00":                             "its path has a zero byte",
		"/" + strings.Repeat("x", 200):      "its path has 201 bytes; the system takes " + strconv.Itoa(maxUnixPath),
		"a\x1b[31m:80":                      "byte 2 is not printable: write it as %XX",
		"localhost:80?nodelai=true":         `unknown option "nodelai", did you mean "nodelay"?`,
		"localhost:80?nodelay=yes":          `nodelay "yes" is neither true nor false`,
		"localhost:80?nodelay=":             `option "nodelay=": write nodelay=true|false`,
		"localhost:80?keepalive=30s":        `keepalive "30s" is neither off nor IDLE/INTERVAL/COUNT in whole seconds, such as 30s/10s/3`,
		"localhost:80?keepalive=30s/10ms/3": `keepalive "30s/10ms/3" is neither off nor IDLE/INTERVAL/COUNT in whole seconds, such as 30s/10s/3`,
		"localhost:80?user_timeout=1us":     `user_timeout "1us" is neither off nor a duration in whole milliseconds, such as 15m30s`,
		"localhost:80?rcvbuf=64k":           `rcvbuf "64k" is not a size from 1 to 1023MiB, such as 65536 or 64KiB`,
		"localhost:80?rcvbuf=2GiB":          `rcvbuf "2GiB" is not a size from 1 to 1023MiB, such as 65536 or 64KiB`,
		"localhost:80?backlog=0":            `backlog "0" is not a number from 1 to 65535`,
		"localhost:80?mark=red":             `mark "red" is not a number of 32 bits, such as 7 or 0x7`,
		"localhost:80?bind=:80":             `bind ":80": its host is missing`,
		"localhost:80?bind=::1":             `bind "::1": an IPv6 address stands in brackets, and has no port: write [::1]:PORT`,
		"localhost:80?interface=a/b":        `interface "a/b" is not the name of a network interface`,
		"localhost:80?mode=0660": `option "mode" does not fit: a tcp address takes nodelay, keepalive, user_timeout, rcvbuf, ` +
			`sndbuf, notsent_lowat, backlog, reuseport, fastopen, mptcp, bind, interface, mark, transparent`,
		"localhost:80?nodelay=%zz":   `option "nodelay": a % in it is not followed by two hexadecimal digits`,
		"/run/x?mod=0660":            `unknown option "mod", did you mean "mode"?`,
		"/run/x?colour=red":          `unknown option "colour": a unix address takes sndbuf, backlog, mode, owner`,
		"/run/x?mode=rw":             `mode "rw" is not an octal number from 0001 to 0777`,
		"/run/x?mode=0660&mode=0600": `option "mode" is given twice`,
		"/run/x?mode":                `option "mode": write NAME=VALUE`,
		"/run/x?owner=:":             `owner ":" is not USER, USER:GROUP or :GROUP`,
		"/run/x?owner=-1":            `owner "-1" is the number of no user or group: they go from 0 to 4294967294`,
		"/run/x?owner=0:4294967295":  `owner "4294967295" is the number of no user or group: they go from 0 to 4294967294`,
		"unix://@db?mode=0660":       `option "mode" does not fit: an abstract unix address takes sndbuf, backlog`,
	} {
		_, err := ParseAddress(text)
		var e *AddressError
		if !errors.As(err, &e) || e.Reason != reason {
			t.Errorf("ParseAddress(%q): %v; want %s", text, err, reason)
		}
	}
}

// What cannot be used is refused with a reason that says what to write instead.
func TestAddressUse(t *testing.T) {
	for _, test := range []struct{ text, dial, listen string }{
		{text: "localhost:80"},
		{text: "/x"},
		{text: "unix://@x"},
		{text: "localhost:0", dial: "port 0 cannot be dialled: name the port that the upstream listens on"},
		{text: ":80", dial: "it has no host to dial: for this machine write 127.0.0.1:80"},
		{text: "echo:", listen: "it cannot be listened on: it is for upstreams"},
		{text: "discard:", listen: "it cannot be listened on: it is for upstreams"},
	} {
		a := address(t, test.text)
		checkUse(t, "Dialable of "+test.text, a.Dialable(), a.String(), test.dial)
		checkUse(t, "Listenable of "+test.text, a.Listenable(), a.String(), test.listen)
	}
	checkUse(t, "Dialable of nothing", Address{}.Dialable(), "", "no address is given to relay to")
	checkUse(t, "Listenable of nothing", Address{}.Listenable(), "", "no address is given to listen on")
}

// checkUse wants err to be about text and to give the reason, or nil without one.
func checkUse(t *testing.T, what string, err error, text, reason string) {
	t.Helper()
	var e *AddressError
	switch {
	case reason == "" && err != nil:
		t.Errorf("%s: %v", what, err)
	case reason != "" && (!errors.As(err, &e) || *e != AddressError{text, reason}):
		t.Errorf("%s: %v; want %q: %s", what, err, text, reason)
	}
}

func TestAddressErrorQuotes(t *testing.T) {
	_, err := ParseAddress("a\x1b[31m:80")
	if err == nil || !strings.HasPrefix(err.Error(), `address "a\x1b[31m:80": `) {
		t.Errorf("%v; want the text quoted", err)
	}
	var e *AddressError
	if !errors.As(err, &e) || e.Hint() != AddressGrammar {
		t.Errorf("%v has no grammar for a hint", err)
	}
}

// An Address is a value of flags, of config files and of JSON.
func TestAddressText(t *testing.T) {
	type config struct{ To Address }
	in := config{address(t, "/run/what%3F?mode=0660")}
	text, err := json.Marshal(in)
	if err != nil || string(text) != `{"To":"unix:///run/what%3F?mode=0660"}` {
		t.Errorf("%s, %v", text, err)
	}
	var out config
	if err := json.Unmarshal(text, &out); err != nil || out != in {
		t.Errorf("%s becomes %+v, %v; want %+v", text, out, err, in)
	}
	if err := out.To.Set("localhost"); err == nil || out != in {
		t.Errorf("Set of a bad address: %v, leaving %v; want an error and %v", err, out.To, in.To)
	}
	if err := out.To.Set(":80"); err != nil || out.To != (Address{Kind: TCP, Port: 80}) {
		t.Errorf("Set of :80: %v, %v", out.To, err)
	}
}

func TestKindString(t *testing.T) {
	for k, want := range map[Kind]string{TCP: "tcp", Unix: "unix", Echo: "echo", Discard: "discard", 99: "kind(99)"} {
		if got := k.String(); got != want {
			t.Errorf("kind %d is %q, want %q", k, got, want)
		}
	}
}

// The longest path that is accepted is one that the system takes.
func TestLongestPath(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "relayd") // t.TempDir may be too long itself
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := dir + "/" + strings.Repeat("x", maxUnixPath-len(dir)-1)
	if _, err := listenAt(t, path); err != nil {
		t.Errorf("a path of %d bytes: %v", len(path), err)
	}
	if _, err := ParseAddress(path + "x"); err == nil {
		t.Errorf("a path of %d bytes is accepted", len(path)+1)
	}
}
