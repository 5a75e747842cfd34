package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"relayd/relay/upstream"
	"relayd/socket"
)

// target is one of memory: what is written to it comes back.
func target(name string, weight int) upstream.Target {
	return upstream.Target{Name: name, Address: socket.Address{Kind: socket.Echo}, Weight: weight}
}

// An event loop takes a member, dials it by itself, and says how that went.
func Example() {
	p, err := upstream.Open(upstream.Config{
		Name:    "db",
		Targets: []upstream.Target{target("big", 2), target("small", 1)},
	}, upstream.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	client := netip.MustParseAddr("192.0.2.1")
	for range 6 {
		m := p.TryTake(client)
		if m == nil {
			break // none is free: a goroutine may wait for one, with Take
		}
		m.Dialled(nil, time.Millisecond) // Loop.Dial has said so
		fmt.Print(m.Name(), " ")
		m.Done() // the conn has ended
	}
	fmt.Println()
	// Output: big small big big small big
}

// A goroutine leaves it all to Connect: choosing, dialling, and trying again.
func ExamplePool_Connect() {
	p, err := upstream.Open(upstream.Config{Targets: []upstream.Target{target("a", 1)}}, upstream.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s, m, err := p.Connect(ctx, netip.MustParseAddr("192.0.2.1"), socket.At{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Done()
	c, err := socket.NewConn(s)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	io.WriteString(c, "hello")
	c.CloseWrite()
	answer, err := io.ReadAll(c)
	fmt.Printf("%s %v\n", answer, err)
	// Output: hello <nil>
}

// A target is taken out by hand, and a pool without any says why it is down.
func ExamplePool_Set() {
	p, err := upstream.Open(upstream.Config{Name: "db", Targets: []upstream.Target{target("a", 1)}}, upstream.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	p.Set("a", upstream.Draining)
	_, err = p.Take(context.Background(), netip.MustParseAddr("192.0.2.1"))
	fmt.Println(errors.Is(err, upstream.ErrDown), err)
	fmt.Println(p.Set("b", upstream.Up))
	// Output:
	// true upstream "db": no target is up: a is draining: by hand
	// upstream "db": it has no target "b"; it has a
}

// Members are checked by what they answer: here a Redis server, every second.
func ExampleCheck() {
	redis, err := socket.ParseAddress("127.0.0.1:6379")
	if err != nil {
		fmt.Println(err)
		return
	}
	c := upstream.Config{
		Name:    "redis",
		Targets: []upstream.Target{{Address: redis}},
		Check:   upstream.Check{On: true, Every: time.Second, Send: `PING\r\n`, Expect: `+PONG`},
	}
	fmt.Println(c.Validate())
	c.Check.Expect = `\+PONG`
	fmt.Println(c.Validate())
	// Output:
	// <nil>
	// upstream "redis": check: text "\\+PONG": the escape at byte 1 is none: write \r, \n, \t, \xFF, or \\ for a backslash
}
