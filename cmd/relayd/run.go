package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"relayd/cmd/relayd/internal/notify"
	"relayd/relay"
	"relayd/socket"
	"relayd/transform"
)

// run is relayd run: it is the one place that knows all packages.
func run(f *runFlags, stdout, stderr io.Writer) error {
	if err := f.tunnel(); err != nil {
		return err
	}
	tuneMemory()
	manager := notify.New()
	log := newLog(stderr, f.logFormat.value, f.logLevel)
	census, _ := socket.NewCensus() // nil where there is none
	// Before listening, so that a signal is never missed.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)

	api, err := openAdmin(&f.admin, log)
	if err != nil {
		return err
	}
	if api != nil {
		defer api.Close()
	}
	server, err := startRelay(f, log)
	if err != nil {
		return err
	}
	d := newDrainer(server, f)
	serveAdmin(api, server, d, census, log)
	if err := announce(f, server.Addrs(), stdout); err != nil {
		abandon(server)
		return &exitError{code: exitFailure, err: err}
	}
	defer removeReadyFile(f.readyFile)
	herald := startHerald(manager, server, log)
	defer herald.end()
	look := startLookout(server, log, stderr)
	defer look.end()

	by := []any{"by", "admin"}
	select {
	case s := <-signals:
		by = []any{"signal", s.String()}
		d.Drain(nil, nil)
	case <-d.asked:
	case <-server.Done(): // nothing is left to accept
		log.Info("ended")
		return nil
	}
	log.Info("draining", append(by, "conns", server.Live(), "timeout", d.limit())...)
	herald.drain()
	return d.run(signals, log)
}

// startRelay starts the relay that the flags describe.
func startRelay(f *runFlags, log *slog.Logger) (*relay.Server, error) {
	server, err := relay.Start(context.Background(), relay.Config{
		Listen:     f.listen.list,
		To:         f.to,
		Up:         transform.Chain(f.up),
		Down:       transform.Chain(f.down),
		Timeouts:   f.timers.timeouts(),
		Policy:     f.dropPolicy,
		EventLoops: f.eventLoop.count(),
		Log:        log,
		LogEvery:   time.Duration(f.logOf.every),
		LogRate:    f.logOf.rate.perSecond(),
	})
	if err != nil {
		return nil, startError(err)
	}
	return server, nil
}

// startError sorts what Start refuses: an address that can never be right is
// the command line's fault.
func startError(err error) error {
	var address *socket.AddressError
	if errors.As(err, &address) {
		return err
	}
	return &exitError{code: exitFailure, err: err}
}

// announce says that relayd accepts: to people on stdout, and then to programs
// in the ready file, by which all is said.
func announce(f *runFlags, addrs []socket.Address, stdout io.Writer) error {
	if err := banner(stdout, f, addrs); err != nil {
		return err
	}
	return writeReadyFile(f.readyFile, addrs)
}

// abandon ends a server that never got to serve.
func abandon(server *relay.Server) {
	now, stop := context.WithCancel(context.Background())
	stop()
	server.Drain(now)
}
