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

// A lookout answers the signals that ask how relayd is and change nothing: USR1
// has a line written for each conn, and QUIT all goroutines and resources.
type lookout struct {
	server  *relay.Server
	log     *slog.Logger
	stderr  io.Writer
	signals chan os.Signal
	ended   chan struct{}
}

func startLookout(server *relay.Server, log *slog.Logger, stderr io.Writer) *lookout {
	l := &lookout{server: server, log: log, stderr: stderr, signals: make(chan os.Signal, 1), ended: make(chan struct{})}
	signal.Notify(l.signals, syscall.SIGUSR1, syscall.SIGQUIT)
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
		if s == syscall.SIGUSR1 {
			l.server.LogConns()
		} else {
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
