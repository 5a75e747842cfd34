package socket

import (
	"errors"
	"fmt"
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
		"tcp.example:80":               {Kind: TCP, Host: "tcp.example", Port: 80},
		"/run/x.sock":                  {Kind: Unix, Path: "/run/x.sock"},
		"unix:///run/x.sock":           {Kind: Unix, Path: "/run/x.sock"},
		"unix:///run/x.sock?mode=0660": {Kind: Unix, Path: "/run/x.sock", Mode: 0o660},
		"unix:///what%3F%25":           {Kind: Unix, Path: "/what?%"},
		"unix:///a%0Ab":                {Kind: Unix, Path: "/a\nb"},
		"/späß":                        {Kind: Unix, Path: "/späß"},
		"unix://@db":                   {Kind: Unix, Path: "db", Abstract: true},
		"unix://@/db":                  {Kind: Unix, Path: "/db", Abstract: true},
		"echo:":                        {Kind: Echo},
		"discard:":                     {Kind: Discard},
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
		"":                             "it is empty",
		"localhost":                    "it has no port, kind or leading slash",
		"tcp://localhost":              "it has no port: write HOST:PORT",
		"localhost:":                   "its port is missing",
		"localhost:http":               `port "http" is not a number from 0 to 65535`,
		"localhost:65536":              `port "65536" is not a number from 0 to 65535`,
		"localhost:+1":                 `port "+1" is not a number from 0 to 65535`,
		"localhost:-1":                 `port "-1" is not a number from 0 to 65535`,
		"::1:80":                       "an IPv6 address stands in brackets: [::1]:80",
		"[::1:80":                      `"[::1" is not an IPv6 address in brackets`,
		"[1.2.3.4]:80":                 `"[1.2.3.4]" is not an IPv6 address in brackets`,
		"a b:80":                       `"a b" is not a host`,
		"tpc://x:1":                    `unknown kind "tpc", did you mean "tcp"?`,
		"gopher://x:1":                 `unknown kind "gopher"`,
		"tls://x:1":                    "tls addresses are not supported by this version",
		"exec:///bin/cat":              "exec addresses are not supported by this version",
		"stdio:":                       "stdio addresses are not supported by this version",
		"echo":                         `did you mean "echo:"?`,
		"echo:x":                       `nothing follows "echo:"`,
		"tcp:localhost:80":             `two slashes follow "tcp:"`,
		"unix:/run/x":                  `two slashes follow "unix:"`,
		"unix://run/x":                 "a path begins with a slash, so that there are three: unix:///PATH",
		"unix://":                      "a path begins with a slash, so that there are three: unix:///PATH",
		"/":                            "its path is missing",
		"unix://@":                     "its path is missing",
		"@db":                          "an abstract name is written unix://@db",
		"/a%zz":                        "a % in it is not followed by two hexadecimal digits",
		"/a%00":                        "its path has a zero byte",
		"/" + strings.Repeat("x", 200): "its path has 201 bytes; the system takes " + strconv.Itoa(maxUnixPath),
		"a\x1b[31m:80":                 "byte 2 is not printable: write it as %XX",
		"localhost:80?nodelay=true":    `unknown option "nodelay": this tcp address takes none`,
		"/run/x?mod=0660":              `unknown option "mod", did you mean "mode"?`,
		"/run/x?colour=red":            `unknown option "colour": a unix address takes mode`,
		"/run/x?mode=rw":               `mode "rw" is not an octal number from 0001 to 0777`,
		"/run/x?mode=0660&mode=0600":   `option "mode" is given twice`,
		"/run/x?mode":                  `option "mode": write NAME=VALUE`,
		"unix://@db?mode=0660":         `unknown option "mode": this unix address takes none`,
	} {
		_, err := ParseAddress(text)
		var e *AddressError
		if !errors.As(err, &e) || e.Reason != reason {
			t.Errorf("ParseAddress(%q): %v; want %s", text, err, reason)
		}
	}
}

func TestAddressUse(t *testing.T) {
	for text, dialable := range map[string]bool{
		"localhost:80": true, "localhost:0": false, ":80": false, "/x": true, "echo:": true, "discard:": true,
	} {
		if err := address(t, text).Dialable(); (err == nil) != dialable {
			t.Errorf("Dialable of %s: %v", text, err)
		}
	}
	for text, listenable := range map[string]bool{
		"localhost:0": true, ":80": true, "/x": true, "unix://@x": true, "echo:": false, "discard:": false,
	} {
		if err := address(t, text).Listenable(); (err == nil) != listenable {
			t.Errorf("Listenable of %s: %v", text, err)
		}
	}
	if err := (Address{}).Dialable(); err == nil {
		t.Error("the zero address can be dialled")
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"127.0.0.1:7000", "[::1]:80", "unix:///a%3Fb?mode=0600", "unix://@n", "echo:", "tpc://x:1", "\x1b[0m"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddress(text)
		if err != nil {
			if strings.ContainsFunc(err.Error(), unprintable) {
				t.Errorf("the error has unprintable characters: %q", err.Error())
			}
			return
		}
		if strings.ContainsFunc(a.String(), unprintable) {
			t.Errorf("%q prints as %q", text, a.String())
		}
		if again, err := ParseAddress(a.String()); err != nil || again != a {
			t.Errorf("%q becomes %q, which is %+v, %v", text, a.String(), again, err)
		}
	})
}
