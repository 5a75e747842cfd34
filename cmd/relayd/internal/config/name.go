package config

// Names: of listeners, routes, upstreams and targets, which are shown, typed and
// put into labels, and of servers and protocols in TLS.

import (
	"fmt"
	"regexp"
)

// A Name refers to something that has one.
type Name string

const (
	nameExpr = `^[a-z0-9][a-z0-9._-]{0,63}$`
	nameRule = "a name is 1 to 64 of a-z, 0-9, dot, _ and -, and begins with a letter or digit"
)

var nameShape = regexp.MustCompile(nameExpr)

func checkName(text string) error {
	if !nameShape.MatchString(text) {
		return fmt.Errorf("%s is not a name: %s", show(text), nameRule)
	}
	return nil
}

func (n *Name) set(text string, _ *field) error {
	err := checkName(text)
	if err == nil {
		*n = Name(text)
	}
	return err
}

func (n *Name) String() string         { return string(*n) }
func (n *Name) takes() scalars         { return texts }
func (n *Name) pattern(*field) pattern { return pattern{expr: nameExpr} }

// A ServerName is one that TLS clients ask for, *. and a domain for all below it,
// or * for any.
type ServerName string

const serverNameExpr = `^(\*|(\*\.)?[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*)$`

var serverNameShape = regexp.MustCompile(serverNameExpr)

func (n *ServerName) set(text string, _ *field) error {
	if len(text) > 255 || !serverNameShape.MatchString(text) {
		return fmt.Errorf("%s is not a server name: write www.example.com, *.example.com for all below that, or * for any, in lower case", show(text))
	}
	*n = ServerName(text)
	return nil
}

func (n *ServerName) String() string         { return string(*n) }
func (n *ServerName) takes() scalars         { return texts }
func (n *ServerName) pattern(*field) pattern { return pattern{expr: serverNameExpr, length: 255} }

// A Protocol is an application protocol in TLS.
type Protocol string

const protocolExpr = `^[!-+\--~]{1,255}$`

var protocolShape = regexp.MustCompile(protocolExpr)

func (p *Protocol) set(text string, _ *field) error {
	if !protocolShape.MatchString(text) {
		return fmt.Errorf("%s is not a protocol's name: write it as in h2 or postgresql", show(text))
	}
	*p = Protocol(text)
	return nil
}

func (p *Protocol) String() string         { return string(*p) }
func (p *Protocol) takes() scalars         { return texts }
func (p *Protocol) pattern(*field) pattern { return pattern{expr: protocolExpr} }
