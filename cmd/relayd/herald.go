package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"relayd/cmd/relayd/internal/notify"
	"relayd/relay"
)

// A herald tells the service manager how the relay is, in the background: its
// state in words, and that it lives. Without a manager it does nothing.
type herald struct {
	to     *notify.Manager
	server *relay.Server
	log    *slog.Logger

	statusEvery, drainEvery time.Duration
	lives                   func(context.Context) error // the server's Alive

	ctx      context.Context
	stop     context.CancelFunc
	draining chan struct{}
	running  sync.WaitGroup
	failed   sync.Once // telling did, which is said once
}

// How often the manager is told. While the relay drains, each time asks for
// more time, and for enough that some of them may be late: how long a drain
// lasts is the operator's word to us, and not to the manager.
const (
	statusEvery = 5 * time.Second
	drainEvery  = time.Second
	drainExtend = 15 * time.Second
)

// startHerald tells that the relay accepts, and begins.
func startHerald(to *notify.Manager, server *relay.Server, log *slog.Logger) *herald {
	h := &herald{to: to, server: server, log: log, statusEvery: statusEvery, drainEvery: drainEvery, lives: server.Alive}
	h.start()
	return h
}

func (h *herald) start() {
	h.ctx, h.stop = context.WithCancel(context.Background())
	h.draining = make(chan struct{})
	if h.to == nil {
		return
	}
	h.tell(h.to.Ready())
	h.running.Go(h.tellStatus)
	if h.to.Watchdog() > 0 {
		h.running.Go(h.tellLife)
	}
}

// drain tells that the relay stops, from now on. It is called once at most.
func (h *herald) drain() { close(h.draining) }

// end ends the herald, after the relay or before it.
func (h *herald) end() {
	h.stop()
	h.running.Wait()
}

// tell logs why the manager could not be told.
func (h *herald) tell(err error) {
	if err != nil {
		h.failed.Do(func() { h.log.Warn("the service manager cannot be told how we are", "err", err) })
	}
}

// tellStatus tells the state in words.
func (h *herald) tellStatus() {
	every := time.NewTicker(h.statusEvery)
	defer every.Stop()
	begin, left := h.draining, ""
	for {
		if left != "" {
			h.tell(h.to.Extend(drainExtend))
			h.tell(h.to.Status("draining: " + count(h.server.Live()) + left))
		} else {
			h.tell(h.to.Status(count(h.server.Live())))
		}
		select {
		case <-begin:
			begin, left = nil, " left"
			h.tell(h.to.Stopping())
			every.Reset(h.drainEvery)
		case <-every.C:
		case <-h.ctx.Done():
			return
		}
	}
}

// count returns a number of conns in words.
func count(n int) string {
	if n == 1 {
		return "1 conn"
	}
	return fmt.Sprintf("%d conns", n)
}

// tellLife gives the watchdog its sign of life, twice in its time, as long as
// the relay does its work.
func (h *herald) tellLife() {
	half := h.to.Watchdog() / 2
	every := time.NewTicker(half)
	defer every.Stop()
	for {
		if err := h.alive(half); err == nil {
			h.tell(h.to.Alive())
		} else if h.ctx.Err() == nil {
			h.log.Error("not alive: the watchdog is not told otherwise", "err", err)
		}
		select {
		case <-every.C:
		case <-h.ctx.Done():
			return
		}
	}
}

// alive asks the relay, which has limit to answer.
func (h *herald) alive(limit time.Duration) error {
	ctx, stop := context.WithTimeout(h.ctx, limit)
	defer stop()
	return h.lives(ctx)
}
