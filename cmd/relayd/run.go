package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"relayd/cmd/relayd/internal/admin"
	"relayd/cmd/relayd/internal/config"
	"relayd/cmd/relayd/internal/metrics"
	"relayd/cmd/relayd/internal/notify"
	"relayd/relay"
	"relayd/socket"
)

// run is relayd run: it is the one place that knows all packages. For a reload
// again reads the configuration anew.
func run(c *config.Config, again func() (*config.Config, *config.Problems, error), stdout, stderr io.Writer) error {
	tuneMemory()
	manager := notify.New()
	log := newLog(stderr, string(c.Log.Format), slog.Level(c.Log.Level))
	if err := setFileLimit(fileCount(c.Limits.NoFile)); err != nil {
		return err
	}
	rc, err := c.Relay()
	if err != nil {
		return &exitError{code: exitConfig, err: err}
	}
	places := adminOf(c)
	confined, err := newConfinement(c, &rc, places, log)
	if err != nil {
		return err
	}
	census, _ := socket.NewCensus() // nil where there is none
	// Before listening, so that a signal is never missed.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	asking := askingSignals()
	defer asking.stop()

	api, err := openAdmin(places, confined.own, log)
	if err != nil {
		return err
	}
	if api != nil {
		defer api.Close()
	}
	server, err := startRelay(c, &rc, confined, log)
	if err != nil {
		return err
	}
	d := newDrainer(server, c)
	reload := &reloader{
		read: again, server: server, drainer: d, confined: confined, fixed: unchanging(&rc), manager: manager, log: log, conf: c,
		tally: metrics.Reloads{OK: true},
	}
	serveAdmin(api, admin.Config{Relay: server, Drainer: d, Metrics: metrics.Handler(server, census, reload.counts), Allows: confined.allows, Reload: reload.reload, Log: log})
	if err := announce(c, server.Addrs(), stdout); err != nil {
		abandon(server)
		return &exitError{code: exitFailure, err: err}
	}
	defer removeReadyFile(string(c.ReadyFile))
	herald := startHerald(manager, server, log)
	defer herald.end()
	look := startLookout(asking, server, reload, log, stderr)
	defer look.end()

	by := awaitEnd(d, server, signals)
	if by == nil {
		log.Info("ended")
		return nil
	}
	log.Info("draining", append(by, "conns", server.Live(), "timeout", d.limit())...)
	herald.drain()
	return d.run(signals, log)
}

// awaitEnd waits until a drain begins, and returns what began it, for the log; nil if
// nothing is left to accept.
func awaitEnd(d *drainer, server *relay.Server, signals <-chan os.Signal) []any {
	select {
	case s := <-signals:
		d.Drain(nil, nil)
		return []any{"signal", s.String()}
	case <-d.asked:
		return []any{"by", "admin"}
	case <-server.Done():
		return nil
	}
}

// startRelay starts the relay that is configured, and gives up what it needs no
// more, once it listens.
func startRelay(c *config.Config, rc *relay.Config, confined *confinement, log *slog.Logger) (*relay.Server, error) {
	rc.EventLoops = eventLoops(c.EventLoop).count()
	rc.Log = log
	rc.Opened = confined.apply
	logLimits(rc, log)
	server, err := relay.Start(context.Background(), *rc)
	if err != nil {
		return nil, startError(err)
	}
	return server, nil
}

// startError sorts what Start refuses: an address that can never be right is
// the command line's fault.
func startError(err error) error {
	var address *socket.AddressError
	var exit *exitError
	if errors.As(err, &address) || errors.As(err, &exit) {
		return err
	}
	return &exitError{code: exitFailure, err: err}
}

// announce says that relayd accepts: to people on stdout, and then to programs
// in the ready file, by which all is said.
func announce(c *config.Config, addrs []socket.Address, stdout io.Writer) error {
	if err := banner(stdout, c, addrs); err != nil {
		return err
	}
	return writeReadyFile(string(c.ReadyFile), addrs)
}

// abandon ends a server that never got to serve.
func abandon(server *relay.Server) {
	now, stop := context.WithCancel(context.Background())
	stop()
	server.Drain(now)
}
