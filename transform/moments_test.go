package transform_test

// However a stage is ended, and whenever, it leaves nothing behind.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"relayd/lifetime/process"
	"relayd/tests/leak"
	"relayd/transform"
	"relayd/transform/stagetest"
)

// moments are the stages as they are ended: without a line here, as their example
// is written. DIR is a folder.
var moments = map[string][]string{
	"exec": {
		"exec:cat",
		`exec:"/bin/sh -c 'sleep 1000 & exec cat'",grace=10ms`,       // it leaves somebody behind
		`exec:"/bin/sh -c 'exec 3>&1 cat >/dev/null'"`,               // never writes
		`exec:"/bin/sh -c 'head -c 99999 /dev/zero >&2; exec cat'"`,  // floods
		`exec:"/bin/sh -c 'exec <&-; head -c 5000 /dev/zero; exec'"`, // never reads
		"exec:head -c 1000",
	},
	"tee":     {"tee:DIR/%c.raw", "tee:DIR/%c.lossy,lossy=true"},
	"hexdump": {"hexdump", "hexdump:DIR/%c.hex"},
	"pcapng":  {"pcapng:DIR/%c.pcapng"},
	"limit":   {"limit:100M/s"},
	"delay":   {"delay:1ms"},
	"slice":   {"slice:100"},
	"stall":   {"stall:1000,time=1ms"},
	"cut":     {"cut:1000", "cut:10M"},
	"reset":   {"reset:1000"},
	"corrupt": {"corrupt:0.1,seed=1"},
	"replace": {"replace:a,to=bcd"},
}

// early are the stages that end a stream by themselves.
var early = []string{"exec:head", "exec <&-", "cut:1000", "reset:1000"}

func TestEveryMoment(t *testing.T) {
	for _, info := range transform.Stages() {
		texts := moments[info.Name]
		if texts == nil {
			texts = []string{info.Example}
		}
		for _, text := range texts {
			var input []byte
			around := "exec:cat,%s,hash"
			if undoes := inverseOf(info.Name); undoes != "" {
				input = run(t, undoes, sample(20_000))
				around = undoes + ",%s,exec:cat"
			}
			text = strings.ReplaceAll(text, "DIR", t.TempDir())
			everyMoment(t, text, stagetest.Moments{Input: input})
			everyMoment(t, fmt.Sprintf(around, text), stagetest.Moments{})
		}
	}
}

// inverseOf returns the stage that a decoder undoes, and "" for others.
func inverseOf(name string) string {
	if info, err := transform.Describe(name); err == nil && strings.HasPrefix(name, "un") || name == "gunzip" {
		return info.Inverse
	}
	return ""
}

func everyMoment(t *testing.T, text string, o stagetest.Moments) {
	t.Run(text, func(t *testing.T) {
		leak.Check(t)
		leak.Processes(t)
		for _, e := range early {
			o.Early = o.Early || strings.Contains(text, e)
		}
		c, err := transform.ParseChain(text)
		if err != nil {
			t.Fatal(err)
		}
		stagetest.TestMoments(t, c, o)
	})
}

// Somebody kills the program: at each moment its stage says so, or it had ended.
func TestExecKilledAtEveryMoment(t *testing.T) {
	for _, around := range []string{"%s", "gzip,%s,hash", "exec:cat,%s,exec:cat"} {
		pids := &pidLog{said: make(chan int, 1)}
		everyMoment(t, fmt.Sprintf(around, `exec:"/bin/sh -c 'echo $$ >&2; exec cat'"`), stagetest.Moments{
			Log: slog.New(pids),
			Faults: []stagetest.Fault{{Name: "program-killed", Strike: pids.kill, Want: func(err error) error {
				var exit *process.ExitError
				if errors.As(err, &exit) && exit.Signal == syscall.SIGKILL {
					return nil
				}
				return fmt.Errorf("got the error %v, want that it was killed", err)
			}}},
		})
	}
}

// A pidLog is a log of a program that says its number. It keeps the last one.
type pidLog struct{ said chan int }

func (l *pidLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *pidLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *pidLog) WithGroup(string) slog.Handler            { return l }
func (l *pidLog) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if pid, err := strconv.Atoi(a.Value.String()); err == nil && a.Key == "line" {
			select { // the one before was not asked for
			case <-l.said:
			default:
			}
			l.said <- pid
		}
		return true
	})
	return nil
}

// kill kills the program that runs now, when it has said its number.
func (l *pidLog) kill(*stagetest.Moment) bool {
	for {
		pid := <-l.said
		if syscall.Kill(pid, syscall.SIGKILL) == nil { // otherwise it is one of before
			return true
		}
	}
}
