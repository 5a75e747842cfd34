// A staged route beside a plain one, in one process: what goroutines take when
// event loops are busy. Each has a load and a backend of its own, so that those
// are not in each other's way; the machine's cores they share, and "direct" says
// what that alone costs.

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

// plainAddr is where the plain route of a staged one listens.
func plainAddr(staged string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(staged)
	return netip.AddrPortFrom(netip.MustParseAddr(plainHost), a.Port()), err
}

func stagedCommand(r route) (*exec.Cmd, error) { return role(roleStaged, r.listen, r.to, r.beside) }

// serveStaged is the process: two servers, set up as relayd sets itself up.
func serveStaged(listen, to, plainTo string) error {
	chain, err := transform.ParseChain(stagedChain)
	if err != nil {
		return err
	}
	loops := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(loops + 1)
	plain, err := plainAddr(listen)
	if err != nil {
		return err
	}
	staged, err := startServer(listen, to, relayd.Config{Up: chain, Down: chain, EventLoops: -1})
	if err != nil {
		return err
	}
	bulk, err := startServer(plain.String(), plainTo, relayd.Config{EventLoops: loops})
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
