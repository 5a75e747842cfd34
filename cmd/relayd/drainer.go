package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"relayd/cmd/relayd/internal/admin"
	"relayd/cmd/relayd/internal/config"
	"relayd/relay"
)

// A drainer ends the relay: for a signal, or for who asks over the admin API.
type drainer struct {
	server          *relay.Server
	timeout, spread time.Duration // unless somebody says otherwise
	asked           chan struct{} // closed when somebody has asked
	over            chan struct{} // closed when all conns have ended

	mu       sync.Mutex
	draining bool
	began    time.Time
	conns    int // at the beginning
	ended    bool
	cut      int // known at the end
}

func newDrainer(server *relay.Server, c *config.Config) *drainer {
	return &drainer{
		server: server, timeout: time.Duration(c.Drain.Timeout), spread: time.Duration(c.Drain.Spread),
		asked: make(chan struct{}), over: make(chan struct{}),
	}
}

// settle takes the times of a configuration, unless the end has begun.
func (d *drainer) settle(c *config.Config) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.draining {
		d.timeout, d.spread = time.Duration(c.Drain.Timeout), time.Duration(c.Drain.Spread)
	}
}

// Drain asks for the end. It reports false if somebody has before.
func (d *drainer) Drain(timeout, spread *time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.draining {
		return false
	}
	d.draining, d.began, d.conns = true, time.Now(), d.server.Live()
	if timeout != nil {
		d.timeout = *timeout
	}
	if spread != nil {
		d.spread = *spread
	}
	close(d.asked)
	return true
}

// Progress says how far it is.
func (d *drainer) Progress() admin.Drain {
	live, cut := d.server.Live(), d.server.Cut()
	d.mu.Lock()
	defer d.mu.Unlock()
	p := admin.Drain{Draining: d.draining, Over: d.ended, Began: d.conns, Live: live, Cut: cut}
	if d.ended {
		p.Live, p.Cut = 0, d.cut
	}
	if d.draining && d.timeout > 0 {
		left := admin.Seconds(max(0, time.Until(d.began.Add(d.timeout).Add(d.spread))).Seconds())
		p.Left = &left
	}
	return p
}

// limit writes how long the drain may take.
func (d *drainer) limit() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := timeout(d.timeout)
	return t.String()
}

// Over is closed when all conns have ended.
func (d *drainer) Over() <-chan struct{} { return d.over }

// run ends the server: in its time, or at once at the next signal.
func (d *drainer) run(signals <-chan os.Signal, log *slog.Logger) error {
	d.mu.Lock()
	timeout, spread := d.timeout, d.spread
	d.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	watched := make(chan struct{})
	go cutAtSignal(ctx, signals, cancel, log, watched)
	result, err := d.server.DrainWithin(ctx, timeout, spread)
	cancel()
	<-watched
	d.end(result.Cut)
	switch {
	case err != nil:
		for _, i := range result.Left {
			log.Error("still held", "resource", i.Name, "age", i.Age, "operations", i.Operations)
		}
		return &exitError{code: exitCut, err: fmt.Errorf("drain: %w", err)}
	case result.Cut > 0:
		return &exitError{code: exitCut, err: fmt.Errorf("drain: %s cut", counted(result.Cut))}
	}
	log.Info("drained")
	return nil
}

// end notes that it is over.
func (d *drainer) end(cut int) {
	d.mu.Lock()
	d.ended, d.cut = true, cut
	d.mu.Unlock()
	close(d.over)
}

// cutAtSignal ends a drain before its time, at the next signal, and says so: the ends
// of its conns tell only that it was the drain.
func cutAtSignal(ctx context.Context, signals <-chan os.Signal, cancel context.CancelFunc, log *slog.Logger, done chan<- struct{}) {
	defer close(done)
	select {
	case s := <-signals:
		log.Warn("cutting all conns: a signal has come while draining", "signal", s.String())
		cancel()
	case <-ctx.Done():
	}
}
