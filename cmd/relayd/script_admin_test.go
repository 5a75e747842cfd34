package main

import (
	"context"
	"io"
	"regexp"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"

	"relayd/cmd/relayd/internal/admin"
	"relayd/lifetime"
	"relayd/transform"
)

// What scripts about the admin API need.

// mainWithLeak is relayd with a stage that has a bug: it makes a resource, and
// never lets go of it.
func mainWithLeak() {
	transform.Register(transform.Definition{
		Info: transform.Info{Name: "leak", Summary: "hold the conn for ever"},
		New:  func([]string) (func(io.Reader, *transform.Site) io.ReadCloser, error) { return openLeak, nil },
	})
	main()
}

type leaked struct{ lifetime.Node }

var leakedKind = lifetime.NewKind(lifetime.Hooks[leaked]{Name: "leaky-stage"})

func openLeak(src io.Reader, at *transform.Site) io.ReadCloser {
	if err := leakedKind.Init(new(leaked), at.Owner, lifetime.Refcount); err != nil {
		panic(err)
	}
	return io.NopCloser(src)
}

// scriptWaitFor runs a command again and again until what it prints matches:
// waitfor 'open' relayd ps.
func scriptWaitFor(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) > 1, neg, "waitfor REGEXP COMMAND...")
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	until(ts, nil, args[0], func() bool {
		err := ts.Exec(args[1], args[2:]...)
		return err == nil && want.MatchString(ts.ReadFile("stdout"))
	})
}

// scriptIDOf sets $c_id to the id that the relayd whose admin API is at $RELAYD_ADMIN
// has given a connection: idof c.
func scriptIDOf(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 1, neg, "idof CONNECTION")
	var at adminPlace
	ts.Check(at.Set(ts.Getenv("RELAYD_ADMIN")))
	client, err := admin.NewClient(at.address, "")
	ts.Check(err)
	defer client.Close()
	local := connOf(ts, args[0]).LocalAddr().String()
	id := ""
	until(ts, nil, "a conn of "+local, func() bool {
		list, err := client.Conns(context.Background(), nil)
		ts.Check(err)
		for _, c := range list.Conns {
			if c.Client == local {
				id = c.ID
			}
		}
		return id != ""
	})
	ts.Setenv(args[0]+"_id", id)
}

// scriptMany makes many connections, c0 and so on, each of which has been relayed:
// many c 100 a.
func scriptMany(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 3, neg, "many CONNECTION COUNT NAME")
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	for i := range n {
		name := args[0] + strconv.Itoa(i)
		scriptConnect(ts, false, []string{name, args[2]})
		scriptSay(ts, false, []string{name, "hello"})
	}
}
