package socket

import (
	"fmt"
	"net"
	"strconv"
)

// A Kind is what an address leads to.
type Kind uint8

// The kinds.
const (
	TCP     Kind = iota + 1 // a TCP port
	Unix                    // a Unix socket, by path or by abstract name
	FD                      // a descriptor that the process was started with
	Systemd                 // a descriptor that systemd passes, by its name
	Exec                    // a program
	Stdio                   // standard input and output
	Echo                    // what is written comes back
	Discard                 // what is written is thrown away
	TLS                     // a TCP port, with TLS
)

var kindNames = [...]string{TCP: "tcp", Unix: "unix", FD: "fd", Systemd: "systemd", Exec: "exec", Stdio: "stdio", Echo: "echo", Discard: "discard", TLS: "tls"}

// String returns the kind's name, as addresses spell it.
func (k Kind) String() string {
	if k > 0 && int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// An Address says where to listen or what to dial. It is written
//
//	tcp://HOST:PORT     a TCP port, also bare: HOST:PORT, :PORT, [::1]:PORT
//	tls://HOST:PORT     a TCP port, with TLS
//	unix:///PATH        a Unix socket, also bare: /PATH
//	unix://@NAME        a Unix socket in Linux's abstract namespace
//	fd://N              the socket that the process inherited as descriptor N
//	systemd://NAME      the socket that systemd passes under that name
//	exec:///PATH?arg=A  a program: its standard input and output, one socket
//	stdio:              our own standard input and output
//	echo:  discard:     an upstream of memory
//
// Without a host a listener takes all addresses of the machine, IPv4 and IPv6.
// A listener at exec:, stdio: or the descriptor of a connection accepts one
// connection, that one.
//
// Options ride in the query: tcp://:80?backlog=64&keepalive=off; [OptionHelp]
// lists them. In paths, names and values %XX stands for a byte, which ? and % in
// paths and names, and & and % in values, themselves need. An Address is
// comparable; ParseAddress of its String is itself, unless it has a Shown.
type Address struct {
	Kind     Kind
	Host     string // of tcp and tls: a name, an IP address with or without zone, or ""
	Port     uint16 // of tcp and tls: 0 lets a listener choose
	Path     string // of unix and exec: a path; of systemd and abstract unix: a name, without @
	Abstract bool   // of unix: Path is a name
	FD       int    // of fd: the descriptor's number
	// Options are the query. ParseAddress writes them in a canonical form, so
	// that equal addresses are ==; any form may be set.
	Options string
	// Shown, if it is not empty, is what String returns: of an address of which a
	// part is a secret. It says nothing of where to listen or what to dial.
	Shown string
}

// AddressGrammar is how addresses are written, for help and hints.
const AddressGrammar = `an address is one of
  tcp://HOST:PORT  HOST:PORT  :PORT  [IPv6]:PORT
  tls://HOST:PORT?cert=FILE&key=FILE  (to listen; to dial without)
  unix:///PATH  /PATH  unix://@NAME   (?mode=0660)
  fd://N  systemd://NAME  stdio:
  exec:///PATH?arg=A&arg=B
  echo:  discard:                     (as an upstream)`

// An AddressError is an address that does not parse, or does not fit its use.
type AddressError struct {
	Text   string // as it was given
	Reason string
}

// Error quotes the address and says what is wrong with it.
func (e *AddressError) Error() string { return fmt.Sprintf("address %q: %s", e.Text, e.Reason) }

// Hint returns the grammar.
func (e *AddressError) Hint() string { return AddressGrammar }

// String returns the address in its canonical form, or else what it is to be
// shown as.
func (a Address) String() string {
	if a.Shown != "" {
		return escape(a.Shown, "")
	}
	s := a.place()
	if s != "" && a.Options != "" {
		s += "?" + a.Options
	}
	return s
}

// place is the address without its options.
func (a Address) place() string {
	switch a.Kind {
	case TCP, TLS:
		return a.Kind.String() + "://" + a.address()
	case Unix:
		if a.Abstract {
			return "unix://@" + escape(a.Path, "%?")
		}
		return "unix://" + escape(a.Path, "%?")
	case FD:
		return "fd://" + strconv.Itoa(a.FD)
	case Systemd, Exec:
		return a.Kind.String() + "://" + escape(a.Path, "%?")
	case Stdio, Echo, Discard:
		return a.Kind.String() + ":"
	}
	return ""
}

// MarshalText returns what String does.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText is ParseAddress.
func (a *Address) UnmarshalText(text []byte) error { return a.Set(string(text)) }

// Set is ParseAddress, for flags.
func (a *Address) Set(s string) error {
	parsed, err := ParseAddress(s)
	if err == nil {
		*a = parsed
	}
	return err
}

// Type returns the word that command-line help uses for the value.
func (a *Address) Type() string { return "address" }

// Dialable returns nil, or why the address cannot be an upstream.
func (a Address) Dialable() error {
	switch {
	case a.Kind == 0:
		return &AddressError{"", "no address is given to relay to"}
	case a.onTCP() && a.Port == 0:
		return &AddressError{a.String(), "port 0 cannot be dialled: name the port that the upstream listens on"}
	case a.onTCP() && a.Host == "":
		return &AddressError{a.String(), fmt.Sprintf("it has no host to dial: for this machine write 127.0.0.1:%d", a.Port)}
	case a.Kind == Systemd:
		return &AddressError{a.String(), "it cannot be dialled: systemd passes listeners"}
	}
	return a.usable(dialling)
}

// Listenable returns nil, or why nobody can listen at the address.
func (a Address) Listenable() error {
	switch {
	case a.Kind == 0:
		return &AddressError{"", "no address is given to listen on"}
	case a.Kind == Echo || a.Kind == Discard:
		return &AddressError{a.String(), "it cannot be listened on: it is for upstreams"}
	}
	return a.usable(listening)
}

// usable returns nil, or why this system has no such address, or no such option
// for this use. Elsewhere than on Linux an abstract name would quietly become a
// file of the working directory.
func (a Address) usable(u use) error {
	if a.Abstract && !isLinux {
		return &AddressError{a.String(), "abstract names are Linux's only: write unix:///PATH"}
	}
	_, err := a.settings(u)
	return err
}

// onTCP reports whether the address has a host and a port.
func (a Address) onTCP() bool { return a.Kind == TCP || a.Kind == TLS }

// network and address are the two as package net takes them.
func (a Address) network() string {
	if a.Kind == Unix {
		return "unix"
	}
	return "tcp"
}

func (a Address) address() string {
	switch {
	case a.Kind == Unix && a.Abstract:
		return "@" + a.Path
	case a.Kind == Unix:
		return a.Path
	}
	return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
}
