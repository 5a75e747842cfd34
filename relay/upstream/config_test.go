package upstream

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"relayd/tests/leak"
)

func TestValidate(t *testing.T) {
	target := func(text string) Target { return Target{Name: "t", Address: address(t, text)} }
	one := func(text string) Config { return Config{Name: "u", Targets: []Target{target(text)}} }
	for name, c := range map[string]struct {
		config func() Config
		want   string // "": it is good
	}{
		"plain":                   {func() Config { return one("127.0.0.1:80") }, ""},
		"a name":                  {func() Config { return one("db.example.com:80") }, ""},
		"unix":                    {func() Config { return one("/run/s") }, ""},
		"no target":               {func() Config { return Config{Name: "u"} }, `upstream "u": it has 0 targets`},
		"an address that is none": {func() Config { return one(":80") }, `target "t": address "tcp://:80": it has no host to dial`},
		"too heavy":               {func() Config { c := one("echo:"); c.Targets[0].Weight = 1001; return c }, "weight 1001 is over 1000"},
		"conns below none":        {func() Config { c := one("echo:"); c.Targets[0].MaxConns = -1; return c }, "it may have -1 conns"},
		"twice":                   {func() Config { c := one("echo:"); c.Targets = append(c.Targets, c.Targets[0]); return c }, `two targets are named "t"`},
		"SRV":                     {func() Config { c := one("tcp://_pg._tcp.example.com:0"); c.Targets[0].Records = SRV; return c }, ""},
		"SRV with a port":         {func() Config { c := one("tcp://_pg._tcp.example.com:1"); c.Targets[0].Records = SRV; return c }, "write port 0"},
		"SRV of an address":       {func() Config { c := one("127.0.0.1:0"); c.Targets[0].Records = SRV; return c }, "SRV records are of a name"},
		"hosts with port 0":       {func() Config { return one("example.com:0") }, "port 0 cannot be dialled"},
		"records":                 {func() Config { c := one("echo:"); c.Targets[0].Records = 9; return c }, "records unknown(9) are none"},
		"balance":                 {func() Config { c := one("echo:"); c.Balance = 9; return c }, "balance unknown(9)"},
		"too many ejected":        {func() Config { c := one("echo:"); c.Eject.MaxPercent = 101; return c }, "101% of its members"},
		"sources": {func() Config {
			c := one("127.0.0.1:1")
			c.Sources = []netip.Addr{netip.MustParseAddr("127.0.0.2")}
			return c
		}, ""},
		"sources and unix": {func() Config {
			c := one("/run/s")
			c.Sources = []netip.Addr{netip.MustParseAddr("127.0.0.2")}
			return c
		}, ""},
		"sources of another family": {func() Config { c := one("127.0.0.1:1"); c.Sources = []netip.Addr{netip.MustParseAddr("::1")}; return c }, "is of its family"},
		"sources and bind": {func() Config {
			c := one("h:1?bind=127.0.0.1")
			c.Sources = []netip.Addr{netip.MustParseAddr("127.0.0.2")}
			return c
		}, "option bind"},
		"sources of another family and TLS": {func() Config {
			c := one("tls://127.0.0.1:1")
			c.Sources = []netip.Addr{netip.MustParseAddr("::1")}
			return c
		}, "is of its family"},
		"sources and bind in TLS": {func() Config {
			c := one("tls://h:1?bind=127.0.0.1")
			c.Sources = []netip.Addr{netip.MustParseAddr("127.0.0.2")}
			return c
		}, "option bind"},
		"a source that is none":         {func() Config { c := one("h:1"); c.Sources = []netip.Addr{netip.IPv4Unspecified()}; return c }, "source 0.0.0.0 is not an address"},
		"a check's text":                {func() Config { c := one("echo:"); c.Check.Send = `\q`; return c }, `the escape at byte 1 is none`},
		"a check that is the only dial": {func() Config { c := one("fd://3"); c.Check.On = true; return c }, "it cannot be checked"},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			err := c.config().Validate()
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %q", err, c.want)
			case c.want != "":
				if p, err := Open(c.config(), Options{}); err == nil {
					p.Close()
					t.Error("it is opened")
				}
			}
		})
	}
	// All that is wrong is said.
	c := one(":80")
	c.Balance = 9
	c.Targets = append(c.Targets, target("echo:"))
	if err := c.Validate(); strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("of three mistakes: %v", err)
	}
}

func TestEqual(t *testing.T) {
	base := func() Config {
		return Config{Name: "u", Targets: []Target{{Address: address(t, "127.0.0.1:80")}, {Address: address(t, "h:1")}}}
	}
	same := []func(c *Config){
		func(c *Config) {},
		func(c *Config) { c.Targets[0].Name = "tcp://127.0.0.1:80" },
		func(c *Config) { c.Targets[0].Weight = 1 },
		func(c *Config) { c.Sources = []netip.Addr{} },
		func(c *Config) { c.Check.Every = 5 * time.Second },
		func(c *Config) { c.Retry.Attempts = 3 },
		func(c *Config) { c.SlowStart = -1 },
	}
	for i, change := range same {
		c := base()
		if change(&c); !c.Equal(base()) || !base().Equal(c) {
			t.Errorf("change %d makes another pool", i)
		}
	}
	other := []func(c *Config){
		func(c *Config) { c.Name = "v" },
		func(c *Config) { c.Targets[0].Name = "x" },
		func(c *Config) { c.Targets[1].Weight = 2 },
		func(c *Config) { c.Targets[1].Records = SRV },
		func(c *Config) { c.Targets[1].Address.Options = "nodelay=false" },
		func(c *Config) { slices.Reverse(c.Targets) },
		func(c *Config) { c.Targets = c.Targets[:1] },
		func(c *Config) { c.Balance = Hash },
		func(c *Config) { c.Check.On = true },
		func(c *Config) { c.Eject.Fails = -1 },
		func(c *Config) { c.Retry.Timeout = -1 },
		func(c *Config) { c.Queue.Max = 7 },
		func(c *Config) { c.Resolve.Every = -1 },
		func(c *Config) { c.OnDown = FIN },
		func(c *Config) { c.SlowStart = 1 },
		func(c *Config) { c.Sources = []netip.Addr{netip.IPv6Unspecified()} },
	}
	for i, change := range other {
		c := base()
		if change(&c); c.Equal(base()) || base().Equal(c) {
			t.Errorf("change %d makes the same pool", i)
		}
	}
}

// Every word is read back, and another one is refused by name.
func TestWords(t *testing.T) {
	type all struct {
		B Balance
		O OnDown
		R Records
		S State
	}
	for i := range uint8(5) {
		in := all{Balance(i), OnDown(i % 3), Records(i % 2), State(i)}
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var out all
		if err := json.Unmarshal(text, &out); err != nil || out != in {
			t.Errorf("%s is read as %+v, %v", text, out, err)
		}
	}
	var b Balance
	if err := b.UnmarshalText([]byte("rr")); err == nil || err.Error() != `balance "rr" is none of round-robin, least-conns, two-choices, hash, first` {
		t.Errorf("of no balance: %v", err)
	}
}

// A status is plain JSON.
func TestStatusIsJSON(t *testing.T) {
	c := memory(t, RoundRobin, 1, 2)
	c.Targets[1].MaxConns = 7
	p := opened(t, c, Options{})
	p.Set("a", Draining)
	fail(members(p)[1], 1, errDial)
	try(t, p, nobody)
	text, err := json.Marshal(p.Status())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"balance":"round-robin"`, `"state":"draining","why":"by hand"`, `"max_conns":7`, `"weight":2`, `"conns":1`,
		`"dial_us":0`, `"failures":1`, `"address":"echo:"`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	var back Status
	if err := json.Unmarshal(text, &back); err != nil || back.Members[0].State != Draining {
		t.Errorf("it is read back as %+v, %v", back, err)
	}
}

// What Config returns is complete, and the caller's.
func TestConfigIsACopy(t *testing.T) {
	c := memory(t, First, 1)
	p := opened(t, c, Options{})
	got := p.Config()
	if !got.Equal(c) || got.Check.Every != 5*time.Second {
		t.Errorf("the configuration is %+v", got)
	}
	got.Targets[0].Weight = 9
	if p.c.Targets[0].Weight != 1 {
		t.Error("it is the pool's own")
	}
}
