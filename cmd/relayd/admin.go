package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"relayd/cmd/relayd/internal/admin"
	"relayd/socket"
)

// openAdmin opens the sockets of the admin API. What nobody has asked for is not
// worth failing: a second relayd goes on without, and says so.
//
// own says whose a socket file becomes that nobody has chosen a place for.
func openAdmin(f *adminFlags, own func(*socket.Address), log *slog.Logger) (*admin.Server, error) {
	token, err := readToken(f.tokenFile)
	if err != nil {
		return nil, &exitError{code: exitFailure, err: err}
	}
	var at []admin.Listen
	if f.view.chosen && !f.view.none {
		at = append(at, admin.Listen{Address: f.view.address, View: true, Token: token})
	}
	switch {
	case f.at.none:
	case f.at.chosen:
		at = append(at, admin.Listen{Address: f.at.address, Token: token})
	default:
		return openDefaultAdmin(f, own, at, token, log)
	}
	if len(at) == 0 {
		return nil, nil
	}
	return openAdminAt(at)
}

func openAdminAt(at []admin.Listen) (*admin.Server, error) {
	s, err := admin.New(context.Background(), at)
	if err != nil {
		e := &exitError{code: exitFailure, err: fmt.Errorf("admin API: %w", err)}
		if errors.Is(err, admin.ErrNoToken) {
			e.code, e.hint = exitUsage, "give it one with --admin-token-file FILE; openssl rand -hex 32 makes one"
		}
		return nil, e
	}
	return s, nil
}

// openDefaultAdmin is openAdmin at the place that nobody has chosen.
func openDefaultAdmin(f *adminFlags, own func(*socket.Address), at []admin.Listen, token string, log *slog.Logger) (*admin.Server, error) {
	place, err := f.at.resolve()
	if err == nil {
		var s *admin.Server
		own(&place)
		if s, err = admin.New(context.Background(), append(at, admin.Listen{Address: place, Token: token})); err == nil {
			return s, nil
		}
	}
	if len(at) > 0 { // the view was asked for
		s, verr := openAdminAt(at)
		if verr != nil {
			return nil, verr
		}
		log.Warn("no admin API but the view", "err", err)
		return s, nil
	}
	level := slog.LevelWarn
	if errors.Is(err, admin.ErrNoPlace) || errors.Is(err, os.ErrNotExist) {
		level = slog.LevelInfo // nothing is wrong
	}
	log.Log(context.Background(), level, "no admin API", "err", err, "hint", "choose a place with --admin ADDRESS, or --admin none")
	return nil, nil
}

// serveAdmin begins to answer.
func serveAdmin(api *admin.Server, c admin.Config) {
	if api == nil {
		return
	}
	api.Serve(c)
	for _, a := range api.Addrs() {
		c.Log.Info("admin API", "address", a.String())
	}
}
