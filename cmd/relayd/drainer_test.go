package main

import (
	"log/slog"
	"math"
	"testing"

	"relayd/cmd/relayd/internal/config"
	"relayd/relay"
	"relayd/socket"
	"relayd/tests/leak"
)

// A drain that may take as long as can be said has time left: together the two times
// are more than a duration holds.
func TestLongDrainHasTimeLeft(t *testing.T) {
	leak.Check(t)
	server, err := relay.Start(t.Context(), relay.Config{
		Listen: []socket.Address{mustAddress("127.0.0.1:0")}, To: mustAddress("echo:"), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer abandon(server)
	c := config.Default()
	c.Drain = config.Drain{Timeout: math.MaxInt64 / 3 * 2, Spread: math.MaxInt64 / 2}
	d := newDrainer(server, c)
	d.Drain(nil, nil)
	if p := d.Progress(); p.Left == nil || *p.Left == 0 {
		t.Errorf("%+v", p)
	}
}
