package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"relayd/cmd/relayd/internal/admin"
	"relayd/cmd/relayd/internal/config"
	"relayd/socket"
)

// Exit codes of the commands that ask a running relayd.
const (
	exitNoAdmin = 4
	exitNoConn  = 5
)

// An adminPlace is where the admin API is: at an address, or nowhere, or where
// nobody has said otherwise.
type adminPlace struct {
	address socket.Address
	chosen  bool // by the user
	none    bool
}

func (p *adminPlace) Set(s string) error {
	if s == "none" || s == "off" {
		*p = adminPlace{chosen: true, none: true}
		return nil
	}
	a, err := socket.ParseAddress(s)
	if err != nil {
		return err
	}
	if a.Kind != socket.Unix && a.Kind != socket.TCP {
		return fmt.Errorf("address %q: the admin API is at a Unix socket or a TCP port", s)
	}
	*p = adminPlace{address: a, chosen: true}
	return nil
}

func (p *adminPlace) String() string {
	switch {
	case p.none:
		return "none"
	case p.chosen:
		return p.address.String()
	}
	return ""
}

func (p *adminPlace) Type() string { return "address" }

// adminDefault says where nobody has said otherwise; tests have no say in /run.
var adminDefault = admin.DefaultPath

// resolve returns the address, the default one if none was chosen.
func (p *adminPlace) resolve() (socket.Address, error) {
	if p.chosen {
		return p.address, nil
	}
	path, err := adminDefault()
	if err != nil {
		return socket.Address{}, err
	}
	return socket.Address{Kind: socket.Unix, Path: path}, nil
}

// adminFlags say where relayd run serves the admin API.
type adminFlags struct {
	at, view  adminPlace
	tokenFile string
}

func (f *adminFlags) add(set *pflag.FlagSet) {
	set.Var(&f.at, "admin", "serve the admin API at `ADDRESS`, or none (default $XDG_RUNTIME_DIR/relayd.sock, or /run/relayd.sock for root)")
	set.Var(&f.view, "admin-view", "serve what of it only reads at `ADDRESS`, too: for watchers, with ?mode=0660&owner=:GROUP")
	set.StringVar(&f.tokenFile, "admin-token-file", "", "ask requests for the token in `FILE`; over TCP there must be one")
}

// adminOf returns what the configuration says of it.
func adminOf(c *config.Config) *adminFlags {
	place := func(a config.AdminAddress) adminPlace {
		return adminPlace{address: a.Address, chosen: a.None || a.Kind != 0, none: a.None}
	}
	return &adminFlags{at: place(c.Admin.Listen), view: place(c.Admin.View), tokenFile: string(c.Admin.TokenFile)}
}

// clientFlags say how a command finds the relayd that it asks.
type clientFlags struct {
	at        adminPlace
	tokenFile string
}

func (f *clientFlags) add(set *pflag.FlagSet) {
	set.Var(&f.at, "admin", "ask the relayd whose admin API is at `ADDRESS` (default $XDG_RUNTIME_DIR/relayd.sock, or /run/relayd.sock for root, or /run/relayd/relayd.sock)")
	set.StringVar(&f.tokenFile, "admin-token-file", "", "send the token in `FILE`")
}

// open returns the client. What fails has its exit code. What the flags leave
// out is taken from the environment, as relayd run does it.
func (f *clientFlags) open() (*admin.Client, error) {
	if v, ok := os.LookupEnv("RELAYD_ADMIN"); ok && !f.at.chosen {
		if err := f.at.Set(v); err != nil {
			return nil, &exitError{code: exitUsage, err: fmt.Errorf("environment variable RELAYD_ADMIN: %w", err)}
		}
	}
	if v, ok := os.LookupEnv("RELAYD_ADMIN_TOKEN_FILE"); ok && f.tokenFile == "" {
		f.tokenFile = v
	}
	if f.at.none {
		return nil, &exitError{code: exitUsage, err: errors.New("--admin none: there is nobody to ask")}
	}
	a, err := f.at.resolve()
	if err == nil && !f.at.chosen {
		a = orService(a)
	}
	if err != nil {
		return nil, &exitError{code: exitNoAdmin, err: err, hint: "say where with --admin ADDRESS"}
	}
	token, err := readToken(f.tokenFile)
	if err != nil {
		return nil, &exitError{code: exitFailure, err: err}
	}
	c, err := admin.NewClient(a, token)
	if err != nil {
		return nil, &exitError{code: exitUsage, err: err}
	}
	return c, nil
}

// askError gives an error of a client its exit code and its hint.
func askError(err error) error {
	var refused *admin.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, admin.ErrUnreachable):
		hint := "is relayd running, and as this user? its log says where its admin API is; name it with --admin ADDRESS"
		if errors.Is(err, os.ErrPermission) {
			hint = "the admin socket is its owner's alone: ask as that user, or as root"
		}
		return &exitError{code: exitNoAdmin, err: err, hint: hint}
	case errors.As(err, &refused) && refused.Code == "no_such_conn":
		return &exitError{code: exitNoConn, err: err, hint: "relayd ps lists the conns that live"}
	case errors.As(err, &refused) && refused.Code == "draining":
		return &exitError{code: exitFailure, err: err, hint: "relayd drain --follow shows how far it is"}
	case errors.As(err, &refused) && refused.Code == "bad_request":
		return &exitError{code: exitUsage, err: err, hint: refused.Hint}
	case errors.As(err, &refused):
		return &exitError{code: exitFailure, err: err, hint: refused.Hint}
	}
	return &exitError{code: exitFailure, err: err}
}

// minToken is how long a token has to be: shorter ones can be tried out.
const minToken = 16

// maxTokenFile is more than a token and what is around it.
const maxTokenFile = 4 << 10

// readToken reads the token in a file, "" if there is no file.
func readToken(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxTokenFile+1)) // it may be a device
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	token := strings.TrimSpace(string(text))
	switch {
	case len(text) > maxTokenFile:
		return "", fmt.Errorf("token file %s: it has more than %d bytes: a token is one word", path, maxTokenFile)
	case len(token) < minToken:
		return "", fmt.Errorf("token file %s: a token has at least %d characters: make one with openssl rand -hex 32", path, minToken)
	case strings.ContainsFunc(token, notToken):
		return "", fmt.Errorf("token file %s: a token is one word of ASCII", path)
	}
	return token, nil
}

func notToken(r rune) bool { return r <= ' ' || r > '~' }

// serviceAdmin is where the relayd of the packages' unit has its admin API.
const serviceAdmin = "/run/relayd/relayd.sock"

// orService returns the place of the system's relayd, where there is one and
// nothing is at the place that a has by default.
func orService(a socket.Address) socket.Address {
	if _, err := os.Stat(a.Path); err == nil {
		return a
	}
	if _, err := os.Stat(serviceAdmin); err == nil {
		a.Path = serviceAdmin
	}
	return a
}
