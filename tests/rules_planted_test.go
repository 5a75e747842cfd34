package tests

import (
	"strings"
	"testing"
)

func TestSleepsPlanted(t *testing.T) {
	checkPlants(t, checkSleeps, []plant{
		{
			name: "good",
			files: map[string]string{
				"a/a.go":      `package a; import "time"; func f() { time.Sleep(1) }`,
				"a/a_test.go": `package a; import "time"; func f() { time.After(1); clock.Sleep(1); _ = "time.Sleep(1)" }`,
			},
		},
		{
			name: "bad",
			files: map[string]string{
				"a/a_test.go":    "package a\nimport \"time\"\nfunc f() {\n\ttime.Sleep(1)\n}\n",
				"a/b_test.go":    `package a; import clock "time"; var nap = clock.Sleep`,
				"a/atest/a.go":   `package atest; import ("testing"; "time"); func f(testing.TB) { time.Sleep(1) }`,
				"tests/x/x.go":   `package x; import "time"; func f() { time.Sleep(1) }`,
				"tests/x/y.go":   `package x; import "time"; func f() { time.Now() }`,
				"transform/a.go": `package transform; import "time"; func f() { time.Sleep(1) }`,
			},
			want: []string{
				"a/a_test.go:4: time.Sleep in a test: wait for the event, or use testing/synctest",
				"a/atest/a.go:1: time.Sleep in a test: wait for the event, or use testing/synctest",
				"a/b_test.go:1: time.Sleep in a test: wait for the event, or use testing/synctest",
				"tests/x/x.go:1: time.Sleep in a test: wait for the event, or use testing/synctest",
			},
		},
	})
}

func TestDotImportsPlanted(t *testing.T) {
	checkPlants(t, checkDotImports, []plant{
		{
			name:  "good",
			files: map[string]string{"a/a.go": `package a; import ("io"; _ "embed"; j "os")`},
		},
		{
			name:  "bad",
			files: map[string]string{"a/a_test.go": `package a; import . "time"`},
			want:  []string{`a/a_test.go:1: "time" is imported as a dot`},
		},
	})
}

func TestGoroutinesPlanted(t *testing.T) {
	checkPlants(t, checkGoroutines, []plant{
		{
			name: "good",
			files: map[string]string{
				"a/a.go": `package a
				func f() {
					go serve()
					go c.serve(1)
					wg.Go(c.serve)
					wg.Go(func() { c.serve(1) })
					eg.Go(func() error { return c.serve(1) })
				}`,
				"a/a_test.go":  `package a; func f() { go func() { serve() }() }`,
				"a/atest/a.go": `package atest; import "testing"; func f(testing.TB) { go func() { serve() }() }`,
			},
		},
		{
			name: "bad",
			files: map[string]string{
				"a/a.go": `package a
				func f() {
					go func() { c.serve() }()
					go (func() { c.serve() })()
					wg.Go(func() { c.serve(1); c.close() })
					wg.Go(func() { for {} })
					wg.Go(func() { func() { c.serve(1) }() })
				}`,
			},
			want: []string{
				"a/a.go:3: go func: give the goroutine's body a name",
				"a/a.go:4: go func: give the goroutine's body a name",
				"a/a.go:5: Go(func) of more than a call: give the goroutine's body a name",
				"a/a.go:6: Go(func) of more than a call: give the goroutine's body a name",
				"a/a.go:7: Go(func) of more than a call: give the goroutine's body a name",
			},
		},
	})
}

func TestExitsPlanted(t *testing.T) {
	checkPlants(t, checkExits, []plant{
		{
			name: "good",
			files: map[string]string{
				"a/a.go":             `package a; import "log"; func f() { log.Println() }`,
				"a/a_test.go":        `package a; import "os"; func f() { os.Exit(1) }`,
				"cmd/relayd/main.go": `package main; import "os"; func f() { os.Exit(1) }`,
				"tests/leak/main.go": `package leak; import "os"; func f() { os.Exit(1) }`,
			},
		},
		{
			name: "bad",
			files: map[string]string{
				"a/a.go":                         `package a; import "log"; func f() { log.Fatalf("") }`,
				"cmd/relayd/internal/cfg/cfg.go": `package cfg; import "os"; func f() { os.Exit(1) }`,
				"tests/leak/check.go":            `package leak; import "os"; func f() { os.Exit(1) }`,
			},
			want: []string{
				"a/a.go:1: log.Fatalf outside of package main: return an error",
				"cmd/relayd/internal/cfg/cfg.go:1: os.Exit outside of package main: return an error",
				"tests/leak/check.go:1: os.Exit outside of package main: return an error",
			},
		},
	})
}

func TestSkipsPlanted(t *testing.T) {
	checkPlants(t, checkSkips, []plant{
		{
			name: "good",
			files: map[string]string{
				"a/a_test.go": `package a
				import "testing"
				func f(t *testing.T) {
					rapid.Check(t, func(t *rapid.T) { t.Skip("no such case") })
					decoder.Skip(7)
				}
				func g(f *frame) { f.Skip(7) }`,
				"tests/program/program.go": `package program; import "testing"; func f(t testing.TB) { t.Skip() }`,
			},
		},
		{
			name: "bad",
			files: map[string]string{
				"a/a_test.go": `package a
				import "testing"
				func f(t *testing.T) {
					t.Skip("later")
					t.Run("", func(u *testing.T) { u.SkipNow() })
					rapid.Check(t, func(rt *rapid.T) { t.Skipf("no such case") })
					h.t.Skip()
				}
				func g(bench *testing.B) { bench.Skip() }
				func h(x testing.TB) { if testing.Short() { x.Skip() } }`,
			},
			want: []string{
				"a/a_test.go:4: Skip: only program.Need may skip a test",
				"a/a_test.go:5: SkipNow: only program.Need may skip a test",
				"a/a_test.go:6: Skipf: only program.Need may skip a test",
				"a/a_test.go:7: Skip: only program.Need may skip a test",
				"a/a_test.go:9: Skip: only program.Need may skip a test",
				"a/a_test.go:10: Skip: only program.Need may skip a test",
			},
		},
	})
}

func TestCopiesPlanted(t *testing.T) {
	checkPlants(t, checkCopies, []plant{
		{
			name: "good",
			files: map[string]string{
				"relay/pump.go":   `package relay; import "io"; func f() { io.Copy(a, b) }`,
				"relay/a.go":      `package relay; import "io"; func f() { io.ReadFull(a, b) }`,
				"relay/a_test.go": `package relay; import "io"; func f() { io.Copy(a, b) }`,
				"socket/copy.go":  `package socket; import "io"; func f() { io.CopyN(a, b, 1) }`,
			},
		},
		{
			name: "bad",
			files: map[string]string{
				"cmd/relayd/a.go": `package main; import "io"; func f() { io.CopyBuffer(a, b, nil) }`,
				"relay/a.go":      `package relay; import x "io"; var f = x.CopyN`,
				"transform/a.go":  `package transform; import "io"; func f() { io.Copy(a, b) }`,
			},
			want: []string{
				"cmd/relayd/a.go:1: io.CopyBuffer: bytes are copied by relay's pump and by socket's step only",
				"relay/a.go:1: io.CopyN: bytes are copied by relay's pump and by socket's step only",
				"transform/a.go:1: io.Copy: bytes are copied by relay's pump and by socket's step only",
			},
		},
	})
}

func TestSizesPlanted(t *testing.T) {
	lines := func(n int) string { return strings.Repeat("\t_ = 0\n", n) }
	checkPlants(t, checkSizes, []plant{
		{
			name: "good",
			files: map[string]string{
				"a/a.go":      "package a\n" + strings.Repeat("\n", maxFileLines-1),
				"a/b.go":      "package a\n\nfunc f() {\n" + lines(maxFuncLines-2) + "}\n",
				"a/a_test.go": "package a\n\nfunc f() {\n" + lines(maxFileLines) + "}\n",
			},
		},
		{
			name: "bad",
			files: map[string]string{
				"a/a.go": "package a\n" + strings.Repeat("\n", maxFileLines),
				"a/b.go": "package a\n\nfunc (t T) f() {\n" + lines(maxFuncLines-1) + "}\n",
			},
			want: []string{
				"a/a.go: 401 lines, more than 400: split it by concern",
				"a/b.go:3: f has 61 lines, more than 60",
			},
		},
	})
}
