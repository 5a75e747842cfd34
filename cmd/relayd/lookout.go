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
	signals *askings
	over    chan struct{} // closed when it is to end
	ended   chan struct{}
}

// askings are the signals that a lookout answers. Each has room for one: that one
// stands for all that have come since the last was taken, but not for another signal.
type askings struct{ usr1, quit, hup chan os.Signal }

// askingSignals begins to take them: before relayd listens, since HUP ends a program
// that takes none.
func askingSignals() *askings {
	a := &askings{make(chan os.Signal, 1), make(chan os.Signal, 1), make(chan os.Signal, 1)}
	signal.Notify(a.usr1, syscall.SIGUSR1)
	signal.Notify(a.quit, syscall.SIGQUIT)
	signal.Notify(a.hup, syscall.SIGHUP)
	return a
}

// stop ends taking them.
func (a *askings) stop() {
	for _, c := range []chan os.Signal{a.usr1, a.quit, a.hup} {
		signal.Stop(c)
	}
}

func startLookout(signals *askings, server *relay.Server, reload *reloader, log *slog.Logger, stderr io.Writer) *lookout {
	l := &lookout{server: server, reload: reload, log: log, stderr: stderr, signals: signals, over: make(chan struct{}), ended: make(chan struct{})}
	go l.run()
	return l
}

// end ends it. QUIT then does what it does to any Go program.
func (l *lookout) end() {
	l.signals.stop()
	close(l.over)
	<-l.ended
}

func (l *lookout) run() {
	defer close(l.ended)
	for {
		select {
		case <-l.signals.usr1:
			l.server.LogConns()
		case <-l.signals.hup:
			l.reload.signalled()
		case <-l.signals.quit:
			l.dump()
		case <-l.over:
			return
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
