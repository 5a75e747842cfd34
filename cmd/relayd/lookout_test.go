package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"relayd/cmd/relayd/internal/config"
	"relayd/relay"
	"relayd/socket"
	"relayd/tests/leak"
)

// A heldWriter says that it is written to, and takes it when it may.
type heldWriter struct{ begun, may chan struct{} }

func (w heldWriter) Write(p []byte) (int, error) {
	w.begun <- struct{}{}
	<-w.may
	return len(p), nil
}

// A lineWriter hands on the lines that a text is in.
type lineWriter struct {
	text string
	to   chan<- string
}

func (w lineWriter) Write(p []byte) (int, error) {
	if strings.Contains(string(p), w.text) {
		w.to <- string(p)
	}
	return len(p), nil
}

// raise sends the process a signal, and returns when all that wait for it have it.
func raise(t *testing.T, s syscall.Signal) {
	t.Helper()
	seen := make(chan os.Signal, 1)
	signal.Notify(seen, s)
	defer signal.Stop(seen)
	if err := syscall.Kill(os.Getpid(), s); err != nil {
		t.Fatal(err)
	}
	<-seen // and Stop waits until the others have it
}

// A HUP is not lost because another signal waits: while one is answered, which may
// take time, there is room for one of each.
func TestNoHangupIsLost(t *testing.T) {
	leak.Check(t)
	server, err := relay.Start(t.Context(), relay.Config{
		Listen: []socket.Address{mustAddress("127.0.0.1:0")}, To: mustAddress("echo:"), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer abandon(server)
	reloaded := make(chan string, 1)
	log := slog.New(slog.NewTextHandler(lineWriter{"certificates reloaded", reloaded}, nil))
	stderr := heldWriter{make(chan struct{}), make(chan struct{})}
	reload := &reloader{server: server, log: log, conf: config.Default()}
	look := startLookout(askingSignals(), server, reload, slog.New(slog.DiscardHandler), stderr)
	defer look.end()
	raise(t, syscall.SIGQUIT)
	<-stderr.begun
	raise(t, syscall.SIGUSR1)
	raise(t, syscall.SIGHUP)
	close(stderr.may)
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	select {
	case <-reloaded:
	case <-ctx.Done():
		t.Error("nothing was reloaded")
	}
}
