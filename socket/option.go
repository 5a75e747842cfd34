package socket

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// An option is one that rides in the query of an address. This table is the
// only place that knows their names: addresses are parsed by it, written by it,
// and explained by it.
type option struct {
	name  string
	kinds []Kind
	use   use
	value string // how it is written
	unset string // what holds without it
	doc   string
	only  bool // on Linux only
	many  bool // may be given more than once
	// set parses v into s. It returns v in its canonical form, or what is
	// wrong with it.
	set func(s *settings, v string) (canonical, reason string)
}

// A use is what an address is used for.
type use uint8

const (
	listening use = 1 << iota
	dialling
	anyUse = listening | dialling
)

var (
	tcpOnly  = []Kind{TCP, TLS}
	tcpKinds = []Kind{TCP, TLS, FD, Systemd}
	sockets  = []Kind{TCP, TLS, Unix, FD, Systemd}
	unixOnly = []Kind{Unix}
	execOnly = []Kind{Exec}
)

// options is the table, in the order in which addresses are written.
var options = slices.Concat([]option{
	{name: "nodelay", kinds: tcpKinds, use: anyUse, value: "true|false", unset: "true", set: setNoDelay,
		doc: "send small pieces at once (TCP_NODELAY)"},
	{name: "keepalive", kinds: tcpKinds, use: anyUse, value: "IDLE/INTERVAL/COUNT|off", unset: "30s/10s/3", set: setKeepAlive,
		doc: "probe a silent peer; with a user_timeout that, and not COUNT, ends the connection"},
	{name: "user_timeout", kinds: tcpKinds, use: anyUse, value: "DURATION|off", unset: "15m30s", only: true, set: setUserTimeout,
		doc: "reset when sent bytes stay unacknowledged, or a window closed, for so long"},
	{name: "rcvbuf", kinds: tcpKinds, use: anyUse, value: "SIZE", unset: "the system's", set: setRcvBuf,
		doc: "receive buffer (SO_RCVBUF; Linux doubles it)"},
	{name: "sndbuf", kinds: sockets, use: anyUse, value: "SIZE", unset: "the system's", set: setSndBuf,
		doc: "send buffer (SO_SNDBUF; Linux doubles it)"},
	{name: "notsent_lowat", kinds: tcpKinds, use: anyUse, value: "SIZE", unset: "the system's", only: true, set: setNotSent,
		doc: "how much may wait unsent in the send buffer"},
	{name: "backlog", kinds: sockets, use: listening, value: "N", unset: "the system's most", set: setBacklog,
		doc: "connections that may wait to be accepted"},
	{name: "reuseport", kinds: tcpOnly, use: listening, value: "true|false", unset: "false", only: true, set: setReusePort,
		doc: "share the port with other listeners that ask for it"},
	{name: "fastopen", kinds: tcpOnly, use: anyUse, value: "true|false", unset: "false", only: true, set: setFastOpen,
		doc: "data in the first packet; a dial then fails at its first write"},
	{name: "mptcp", kinds: tcpOnly, use: anyUse, value: "true|false", unset: "false", only: true, set: setMPTCP,
		doc: "Multipath TCP, if the peer has it"},
	{name: "bind", kinds: tcpOnly, use: dialling, value: "HOST[:PORT]", unset: "the system's choice", set: setBind,
		doc: "source address"},
	{name: "interface", kinds: tcpOnly, use: anyUse, value: "NAME", unset: "any", only: true, set: setInterface,
		doc: "network interface (SO_BINDTODEVICE)"},
	{name: "mark", kinds: tcpOnly, use: anyUse, value: "N", unset: "0", only: true, set: setMark,
		doc: "firewall mark; needs CAP_NET_ADMIN"},
	{name: "transparent", kinds: tcpOnly, use: anyUse, value: "true|false", unset: "false", only: true, set: setTransparent,
		doc: "allow addresses that are not this machine's; needs CAP_NET_ADMIN"},
	{name: "mode", kinds: unixOnly, use: listening, value: "OCTAL", unset: "the umask's", set: setMode,
		doc: "permissions of the socket file"},
	{name: "owner", kinds: unixOnly, use: listening, value: "USER[:GROUP]", unset: "the process's", set: setOwner,
		doc: "owner of the socket file, by name or number"},
	{name: "arg", kinds: execOnly, use: anyUse, value: "TEXT", unset: "none", many: true, set: setArg,
		doc: "an argument; may be given again for the next"},
	{name: "grace", kinds: execOnly, use: anyUse, value: "DURATION", unset: "2s", set: setGrace,
		doc: "time to end by itself, then again after SIGTERM, before SIGKILL"},
}, tlsOptions)

// fits reports whether an address may have the option. An abstract name has no
// file that could have a mode or an owner.
func (o *option) fits(a Address) bool {
	return slices.Contains(o.kinds, a.Kind) && !(a.Abstract && (o.name == "mode" || o.name == "owner"))
}

// OptionHelp is a table of all options that addresses take in their query, a
// line for each, for help: its name and value, the kinds of addresses that take
// it, what holds without it, and what it does.
func OptionHelp() string {
	var b strings.Builder
	for _, o := range options {
		var kinds []string
		for _, k := range o.kinds {
			kinds = append(kinds, k.String())
		}
		doc := o.doc
		switch o.use {
		case listening:
			doc += "; listening only"
		case dialling:
			doc += "; dialling only"
		}
		if o.only {
			doc += "; Linux only"
		}
		fmt.Fprintf(&b, "%-33s %-20s %-19s %s\n", o.name+"="+o.value, strings.Join(kinds, ","), o.unset, doc)
	}
	return b.String()
}

// parseOptions parses a query, NAME=VALUE with & between them, and returns it in
// its canonical form: in the order of the table, values as set writes them.
func parseOptions(a Address, query string) (s settings, canonical, reason string) {
	s = defaults()
	values := make([][]string, len(options))
	for pair := range strings.SplitSeq(query, "&") {
		name, value, ok := strings.Cut(pair, "=")
		i := slices.IndexFunc(options, func(o option) bool { return o.name == name })
		switch {
		case !ok:
			return s, "", fmt.Sprintf("option %q: write NAME=VALUE", pair)
		case i < 0:
			return s, "", unknownOption(a, name)
		case !options[i].fits(a):
			return s, "", fmt.Sprintf("option %q does not fit: %s", name, takes(a))
		case value == "" && !options[i].many:
			return s, "", fmt.Sprintf("option %q: write %s=%s", pair, name, options[i].value)
		case len(values[i]) > 0 && !options[i].many:
			return s, "", fmt.Sprintf("option %q is given twice", name)
		}
		raw, err := url.PathUnescape(value)
		if err != nil {
			return s, "", fmt.Sprintf("option %q: a %% in it is not followed by two hexadecimal digits", name)
		}
		text, reason := options[i].set(&s, raw)
		if reason != "" {
			return s, "", name + " " + reason
		}
		s.given |= 1 << i
		values[i] = append(values[i], text)
	}
	var list []string
	for i, o := range options {
		for _, v := range values[i] {
			list = append(list, o.name+"="+escape(v, "%&"))
		}
	}
	return s, strings.Join(list, "&"), ""
}

// unknownOption explains the name of an option that is in no table.
func unknownOption(a Address, name string) string {
	if best := nearest(name, optionNames(a)); best != "" {
		return fmt.Sprintf("unknown option %q, did you mean %q?", name, best)
	}
	return fmt.Sprintf("unknown option %q: %s", name, takes(a))
}

// takes lists what an address may have.
func takes(a Address) string {
	kind := "a " + a.Kind.String()
	if a.Abstract {
		kind = "an abstract unix"
	}
	return fmt.Sprintf("%s address takes %s", kind, strings.Join(optionNames(a), ", "))
}

// optionNames are the options that an address may have.
func optionNames(a Address) (names []string) {
	for _, o := range options {
		if o.fits(a) {
			names = append(names, o.name)
		}
	}
	return names
}

// WithDefault returns a with an option that it does not say anything about. An
// address whose kind has no such option is returned as it is. It panics if the
// value is not one of that option's.
func (a Address) WithDefault(name, value string) Address {
	i := slices.IndexFunc(options, func(o option) bool { return o.name == name })
	if i < 0 || !options[i].fits(a) || options[i].only && !isLinux {
		return a
	}
	query := name + "=" + value
	if a.Options != "" {
		if s, _, _ := parseOptions(a, a.Options); s.has(name) {
			return a
		}
		query = a.Options + "&" + query
	}
	_, canonical, reason := parseOptions(a, query)
	if reason != "" {
		panic("socket: WithDefault: " + reason)
	}
	a.Options = canonical
	return a
}

// settings returns what the options of a say for a use of it.
func (a Address) settings(u use) (settings, error) {
	s, err := a.optionsFor(u)
	if err == nil && a.Kind == TLS {
		if reason := s.tls.check(u, s.has); reason != "" {
			err = &AddressError{a.String(), reason}
		}
	}
	return s, err
}

// optionsFor is settings without regard to how the options go together.
func (a Address) optionsFor(u use) (settings, error) {
	if a.Options == "" {
		return defaults(), nil
	}
	s, _, reason := parseOptions(a, a.Options)
	if reason != "" {
		return s, &AddressError{a.String(), reason}
	}
	for i, o := range options {
		switch {
		case s.given&(1<<i) == 0:
		case o.use&u == 0 && u == listening:
			return s, &AddressError{a.String(), fmt.Sprintf("option %q is for dialling", o.name)}
		case o.use&u == 0:
			return s, &AddressError{a.String(), fmt.Sprintf("option %q is for listening", o.name)}
		case o.only && !isLinux:
			return s, &AddressError{a.String(), fmt.Sprintf("option %q: not on this system", o.name)}
		}
	}
	return s, nil
}

// has reports whether an option was given.
func (s *settings) has(name string) bool {
	i := slices.IndexFunc(options, func(o option) bool { return o.name == name })
	return s.given&(1<<i) != 0
}

// escape writes text so that url.PathUnescape reads it back: what no terminal
// should see as %XX, and so the bytes of special.
func escape(text, special string) string {
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		if strings.ContainsRune(special, r) || unprintable(r) {
			for _, c := range []byte(text[:n]) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		} else {
			b.WriteString(text[:n])
		}
		text = text[n:]
	}
	return b.String()
}
