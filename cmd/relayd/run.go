package main

import (
	"context"
	"errors"
	"fmt"
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

// errSecondSignal ends a drain before its time.
var errSecondSignal = errors.New("second signal")

// run is relayd run: it is the one place that knows all packages.
func run(f *runFlags, stdout, stderr io.Writer) error {
	tuneMemory()
	manager := notify.New()
	log := newLog(stderr, f.logFormat.value, f.logLevel)
	// Before listening, so that a signal is never missed.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)

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
		return startError(err)
	}
	if err := announce(f, server.Addrs(), stdout); err != nil {
		abandon(server)
		return &exitError{code: exitFailure, err: err}
	}
	defer removeReadyFile(f.readyFile)
	herald := startHerald(manager, server, log)
	defer herald.end()

	var s os.Signal
	select {
	case s = <-signals:
	case <-server.Done(): // nothing is left to accept
		log.Info("ended")
		return nil
	}
	log.Info("draining", "signal", s.String(), "conns", server.Live(), "timeout", f.drainTimeout.String())
	herald.drain()
	return drain(server, time.Duration(f.drainTimeout), time.Duration(f.drainSpread), signals, log)
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

// drain ends the server: in its time, or at once at the next signal.
func drain(server *relay.Server, limit, spread time.Duration, signals <-chan os.Signal, log *slog.Logger) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	watched := make(chan struct{})
	go cutAtSignal(ctx, signals, cancel, watched)
	result, err := server.DrainWithin(ctx, limit, spread)
	cancel(nil)
	<-watched
	switch {
	case err != nil:
		for _, i := range result.Left {
			log.Error("still held", "resource", i.Name, "age", i.Age, "operations", i.Operations)
		}
		return &exitError{code: exitCut, err: fmt.Errorf("drain: %w", err)}
	case result.Cut > 0:
		return &exitError{code: exitCut, err: fmt.Errorf("drain: %d conns were cut", result.Cut)}
	}
	log.Info("drained")
	return nil
}

// cutAtSignal cancels a drain at the next signal.
func cutAtSignal(ctx context.Context, signals <-chan os.Signal, cancel context.CancelCauseFunc, done chan<- struct{}) {
	defer close(done)
	select {
	case <-signals:
		cancel(errSecondSignal)
	case <-ctx.Done():
	}
}
