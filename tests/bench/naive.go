// A naive relay is what one writes in Go in five minutes: two io.Copy.

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// serveNaive relays what it accepts at one address to another, for ever.
func serveNaive(listen, to string) error {
	l, err := net.Listen("tcp4", listen)
	if err != nil {
		return err
	}
	var conns sync.WaitGroup
	defer conns.Wait()
	defer l.Close()
	for {
		c, err := l.Accept()
		if err != nil {
			// Out of descriptors, mostly. The load shall see what comes of it.
			fmt.Fprintln(os.Stderr, "naive:", err)
			<-time.After(5 * time.Millisecond)
			continue
		}
		conns.Go(func() { relayNaively(c.(*net.TCPConn), to) })
	}
}

func relayNaively(client *net.TCPConn, to string) {
	defer client.Close()
	c, err := net.Dial("tcp4", to)
	if err != nil {
		fmt.Fprintln(os.Stderr, "naive:", err)
		return
	}
	upstream := c.(*net.TCPConn)
	defer upstream.Close()
	var up sync.WaitGroup
	up.Go(func() { copyNaively(upstream, client) })
	copyNaively(client, upstream)
	up.Wait()
}

// copyNaively moves one direction to its end. Between two TCP connections
// io.Copy splices.
func copyNaively(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		fmt.Fprintln(os.Stderr, "naive:", err)
	}
	to.CloseWrite()
}
