package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"relayd/lifetime"
	"relayd/relay"
)

// A lookout answers the signals after which relayd goes on: USR1 has a line
// written for each conn, QUIT all goroutines and resources, and HUP has the
// configuration, certificates and keys read again.
type lookout struct {
	server  *relay.Server
	reload  *reloader
	log     *slog.Logger
	stderr  io.Writer
	signals chan os.Signal
	ended   chan struct{}
}

// askingSignals begins to take the signals that a lookout answers: before relayd
// listens, since HUP ends a program that takes none.
func askingSignals() chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1, syscall.SIGQUIT, syscall.SIGHUP)
	return c
}

func startLookout(signals chan os.Signal, server *relay.Server, reload *reloader, log *slog.Logger, stderr io.Writer) *lookout {
	l := &lookout{server: server, reload: reload, log: log, stderr: stderr, signals: signals, ended: make(chan struct{})}
	go l.run()
	return l
}

// end ends it. QUIT then does what it does to any Go program.
func (l *lookout) end() {
	signal.Stop(l.signals)
	close(l.signals)
	<-l.ended
}

func (l *lookout) run() {
	defer close(l.ended)
	for s := range l.signals {
		switch s {
		case syscall.SIGUSR1:
			l.server.LogConns()
		case syscall.SIGHUP:
			l.reload.signalled()
		default:
			l.dump()
		}
	}
}

// maxDump bounds the text of all goroutines.
const maxDump = 64 << 20

// dump writes what a bug report needs: it goes on as before. The resources are
// as text, because a handler of the log may be what is stuck.
func (l *lookout) dump() {
	buf := make([]byte, 1<<20)
	n := runtime.Stack(buf, true)
	for n == len(buf) && n < maxDump {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	var b strings.Builder
	for _, i := range lifetime.Snapshot(nil) {
		b.WriteString(i.String() + "\n" + i.Stack)
	}
	fmt.Fprintf(l.stderr, "%s\n\nresources:\n%s", buf[:n], b.String())
	l.log.Info("dumped", "goroutines", runtime.NumGoroutine(), "conns", l.server.Live())
}
