// A staged route beside a plain one, in one process: what goroutines take when
// event loops are busy.

package main

import (
	"context"
	"net/netip"
	"os/exec"
	"runtime"

	relayd "relayd/relay"
	"relayd/socket"
	"relayd/transform"
)

// plainHost is where the plain route listens, at the port of the staged one.
const plainHost = "127.0.0.2"

// stagedChain is what bytes go through, in both directions.
const stagedChain = "gzip,gunzip"

func stagedCommand(r route) (*exec.Cmd, error) { return role(roleStaged, r.listen, r.to) }

// serveStaged is the process: two servers, set up as relayd sets itself up.
func serveStaged(listen, to string) error {
	chain, err := transform.ParseChain(stagedChain)
	if err != nil {
		return err
	}
	loops := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(loops + 1)
	port, err := netip.ParseAddrPort(listen)
	if err != nil {
		return err
	}
	plain := netip.AddrPortFrom(netip.MustParseAddr(plainHost), port.Port())
	staged, err := startServer(listen, to, relayd.Config{Up: chain, Down: chain, EventLoops: -1})
	if err != nil {
		return err
	}
	bulk, err := startServer(plain.String(), to, relayd.Config{EventLoops: loops})
	if err != nil {
		return err
	}
	<-staged.Done()
	<-bulk.Done()
	return nil
}

func startServer(listen, to string, c relayd.Config) (*relayd.Server, error) {
	l, err := socket.ParseAddress(listen)
	if err != nil {
		return nil, err
	}
	if c.To, err = socket.ParseAddress(to); err != nil {
		return nil, err
	}
	c.Listen = []socket.Address{l}
	return relayd.Start(context.Background(), c)
}

// An askingBeside load asks through the staged route while a stream goes through
// the plain one.
type askingBeside struct {
	asking
	bulk bulk
}

func newAskingBeside(j job) load {
	beside := j
	beside.Kind, beside.Conns, beside.Openers = "send", 1, 0
	beside.Addr = netip.AddrPortFrom(netip.MustParseAddr(plainHost), j.Addr.Port())
	return &askingBeside{asking: asking{job: j}, bulk: bulk{job: beside}}
}

func (a *askingBeside) prepare() error {
	if err := a.asking.prepare(); err != nil {
		return err
	}
	return a.bulk.prepare()
}

// measure is asking's; the stream runs as long, and is verified, too.
func (a *askingBeside) measure() (tally, error) {
	streamed := make(chan error, 1)
	go a.stream(streamed)
	t, err := a.asking.measure()
	if e := <-streamed; err == nil {
		err = e
	}
	return t, err
}

func (a *askingBeside) stream(done chan<- error) {
	_, err := a.bulk.measure()
	done <- err
}
