package socket

import (
	"fmt"
	"io/fs"
	"net"
	"strconv"
)

// A Kind is what an address leads to.
type Kind uint8

// The kinds.
const (
	TCP     Kind = iota + 1 // a TCP port
	Unix                    // a Unix socket, by path or by abstract name
	Echo                    // what is written comes back
	Discard                 // what is written is thrown away
)

// String returns the kind's name, as addresses spell it.
func (k Kind) String() string {
	switch k {
	case TCP:
		return "tcp"
	case Unix:
		return "unix"
	case Echo:
		return "echo"
	case Discard:
		return "discard"
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// An Address says where to listen or what to dial. It is written
//
//	tcp://HOST:PORT     a TCP port, also bare: HOST:PORT, :PORT, [::1]:PORT
//	unix:///PATH        a Unix socket, also bare: /PATH
//	unix://@NAME        a Unix socket in Linux's abstract namespace
//	echo:  discard:     an upstream of memory
//
// Without a host a listener takes all addresses of the machine, IPv4 and IPv6.
// Options ride in the query: unix:///run/x.sock?mode=0660. In paths and names
// %XX stands for a byte, which ? and % themselves need. An Address is
// comparable; ParseAddress of its String is itself.
type Address struct {
	Kind     Kind
	Host     string // of tcp: a name, an IP address with or without zone, or ""
	Port     uint16 // of tcp: 0 lets a listener choose
	Path     string // of unix: a path, or a name without its @
	Abstract bool   // of unix: Path is a name
	// Mode of a unix listener's socket file; 0 leaves it to the umask.
	Mode fs.FileMode
}

// AddressGrammar is how addresses are written, for help and hints.
const AddressGrammar = `an address is one of
  tcp://HOST:PORT  HOST:PORT  :PORT  [IPv6]:PORT
  unix:///PATH  /PATH  unix://@NAME   (?mode=0660)
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

// String returns the address in its canonical form.
func (a Address) String() string {
	switch a.Kind {
	case TCP:
		return "tcp://" + a.address()
	case Unix:
		s := "unix://"
		if a.Abstract {
			s += "@"
		}
		s += escape(a.Path)
		if a.Mode != 0 {
			s += fmt.Sprintf("?mode=%04o", uint32(a.Mode))
		}
		return s
	case Echo, Discard:
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
	case a.Kind == TCP && a.Port == 0:
		return &AddressError{a.String(), "port 0 cannot be dialled: name the port that the upstream listens on"}
	case a.Kind == TCP && a.Host == "":
		return &AddressError{a.String(), fmt.Sprintf("it has no host to dial: for this machine write 127.0.0.1:%d", a.Port)}
	}
	return nil
}

// Listenable returns nil, or why nobody can listen at the address.
func (a Address) Listenable() error {
	if a.Kind != TCP && a.Kind != Unix {
		return &AddressError{a.String(), "it cannot be listened on: it is for upstreams"}
	}
	return nil
}

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
