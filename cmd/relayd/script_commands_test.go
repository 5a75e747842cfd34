package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"relayd/socket"
	"relayd/tests/program"
)

// scriptPatience bounds every wait of a script: only what hangs waits it out.
const scriptPatience = 20 * time.Second

// scriptCommands are what scripts can do beside the commands of testscript.
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"need":      scriptNeed,
	"exits":     scriptExits,
	"start":     scriptStart,
	"signal":    scriptSignal,
	"ends":      scriptEnds,
	"waitfile":  scriptWaitFile,
	"waitlog":   scriptWaitLog,
	"logline":   scriptLogLine,
	"connect":   scriptConnect,
	"say":       scriptSay,
	"send":      scriptSend,
	"finish":    scriptFinish,
	"cut":       scriptCut,
	"refused":   scriptRefused,
	"staleunix": scriptStaleUnix,
	"waitfor":   scriptWaitFor,
	"idof":      scriptIDOf,
	"many":      scriptMany,
	"manuals":   scriptManuals,
	"keyof":     scriptKeyOf,
}

// A scene is what one script has under way.
type scene struct {
	t       testing.TB
	relayds map[string]*process
	conns   map[string]net.Conn
}

type process struct {
	cmd    *exec.Cmd
	addr   socket.Address // the first that it listens at
	exited chan struct{}
}

type sceneKey struct{}

func setupScript(env *testscript.Env) error {
	// With -race a process would wait a second at its exit.
	env.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	// Scripts run side by side, and the admin API has one place for all.
	env.Setenv("RELAYD_ADMIN", "none")
	module, err := filepath.Abs(filepath.Join("..", "..", "transform", "wasm", "testdata", "upper.wasm"))
	if err != nil {
		return err
	}
	env.Setenv("UPPER", module)
	env.Values[sceneKey{}] = &scene{env.T().(testing.TB), make(map[string]*process), make(map[string]net.Conn)}
	return nil
}

func sceneOf(ts *testscript.TestScript) *scene { return ts.Value(sceneKey{}).(*scene) }

// usage fails a script whose command is not written as form says.
func usage(ts *testscript.TestScript, ok, neg bool, form string) {
	if !ok || neg {
		ts.Fatalf("usage: %s", form)
	}
}

// scriptNeed asks for programs: need nc socat.
func scriptNeed(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) > 0, neg, "need PROGRAM...")
	for _, name := range args {
		program.Need(sceneOf(ts).t, name)
	}
}

// scriptExits runs a command and wants a certain exit code: exits 2 relayd --nope.
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) > 1, neg, "exits CODE COMMAND...")
	got := 0
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// scriptStart starts a relayd under a name and waits until it accepts: start a
// -t echo:. Its output goes to a.out and a.err, $a is its address and $a_port
// its port.
func scriptStart(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) > 0, neg, "start NAME FLAG...")
	// In a directory of its own: relayd may write there.
	name, ready := args[0], ts.MkAbs(filepath.Join(".ready", args[0]))
	ts.Check(os.MkdirAll(filepath.Dir(ready), 0o777))
	path, err := exec.LookPath("relayd")
	ts.Check(err)
	cmd := exec.Command(path, append([]string{"--ready-file", ready}, args[1:]...)...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = scriptEnviron(ts)
	stdout, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	defer stdout.Close()
	stderr, err := os.Create(ts.MkAbs(name + ".err"))
	ts.Check(err)
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	ts.Check(cmd.Start())

	p := &process{cmd: cmd, exited: make(chan struct{})}
	go func() {
		defer close(p.exited)
		cmd.Wait()
	}()
	sceneOf(ts).relayds[name] = p
	ts.Defer(func() {
		cmd.Process.Kill()
		<-p.exited
	})
	until(ts, p.exited, name+" is ready", func() bool { return exists(ready) })
	first, _, _ := strings.Cut(ts.ReadFile(ready), "\n")
	ts.Setenv(name, first)
	p.addr, err = socket.ParseAddress(first)
	ts.Check(err)
	ts.Setenv(name+"_port", strconv.Itoa(int(p.addr.Port)))
}

// scriptKeyOf sets a variable to the public key that keygen printed: keyof KEY
// FILE.
func scriptKeyOf(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, neg, "keyof VARIABLE FILE")
	_, key, ok := strings.Cut(ts.ReadFile(args[1]), "--peer-key ")
	if !ok {
		ts.Fatalf("%s has no public key", args[1])
	}
	ts.Setenv(args[0], strings.TrimSpace(key))
}

// scriptEnviron returns the script's own settings for relayd, and what any
// program wants.
func scriptEnviron(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "GORACE", "GOCOVERDIR"} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	for _, flag := range []string{"LISTEN", "TO", "LOG_FORMAT", "LOG_LEVEL", "DRAIN_TIMEOUT", "ADMIN"} {
		if v := ts.Getenv("RELAYD_" + flag); v != "" {
			env = append(env, "RELAYD_"+flag+"="+v)
		}
	}
	return env
}

// find returns a relayd that was started.
func find(ts *testscript.TestScript, name string) *process {
	p := sceneOf(ts).relayds[name]
	if p == nil {
		ts.Fatalf("no relayd %q was started", name)
	}
	return p
}

// scriptSignal sends a signal: signal a TERM.
func scriptSignal(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1, "QUIT": syscall.SIGQUIT}
	usage(ts, len(args) == 2 && signals[args[1]] != 0, neg, "signal NAME TERM|INT|HUP|USR1|QUIT")
	ts.Check(find(ts, args[0]).cmd.Process.Signal(signals[args[1]]))
}

// scriptEnds waits for a relayd's exit, with a certain code: ends a 0.
func scriptEnds(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, neg, "ends NAME CODE")
	p := find(ts, args[0])
	timer := time.NewTimer(scriptPatience)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
		ts.Fatalf("%s has not ended within %v; its log:\n%s", args[0], scriptPatience, ts.ReadFile(args[0]+".err"))
	}
	if got := p.cmd.ProcessState.ExitCode(); strconv.Itoa(got) != args[1] {
		ts.Fatalf("%s ended with %v, want %s; its log:\n%s", args[0], p.cmd.ProcessState, args[1], ts.ReadFile(args[0]+".err"))
	}
}

// until asks again and again until ok. It fails when gone is closed first.
func until(ts *testscript.TestScript, gone <-chan struct{}, what string, ok func() bool) {
	timer := time.NewTimer(scriptPatience)
	defer timer.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-gone:
			if ok() {
				return
			}
			ts.Fatalf("it has ended, and still not: %s", what)
		case <-timer.C:
			ts.Fatalf("%v later still not: %s", scriptPatience, what)
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// scriptWaitFile waits until files exist: waitfile ready.
func scriptWaitFile(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) > 0, neg, "waitfile FILE...")
	for _, file := range args {
		until(ts, nil, file+" exists", func() bool { return exists(ts.MkAbs(file)) })
	}
}

// scriptWaitLog waits until a relayd has said something: waitlog a draining.
func scriptWaitLog(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, neg, "waitlog NAME TEXT")
	until(ts, find(ts, args[0]).exited, fmt.Sprintf("%s logs %q", args[0], args[1]), func() bool {
		return strings.Contains(ts.ReadFile(args[0]+".err"), args[1])
	})
}

// scriptLogLine wants a line in a JSON log, which has exactly these attributes,
// some with a value: logline a.err 'conn ended' id reason=eof. Level and msg are
// there always.
func scriptLogLine(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) > 1, neg, "logline FILE MESSAGE KEY[=VALUE]...")
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var got map[string]any
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&got); err != nil {
			ts.Fatalf("%v: %s", err, line)
		}
		if got["msg"] != args[1] {
			continue
		}
		want := []string{"level", "msg", "time"}
		for _, arg := range args[2:] {
			key, value, given := strings.Cut(arg, "=")
			want = append(want, key)
			if given && fmt.Sprint(got[key]) != value {
				ts.Fatalf("%s is %v, want %s: %s", key, got[key], value, line)
			}
		}
		slices.Sort(want)
		if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, want) {
			ts.Fatalf("the keys are %v, want %v: %s", keys, want, line)
		}
		return
	}
	ts.Fatalf("no line %q in %s", args[1], args[0])
}

// dialScript connects to the relayd of a name.
func dialScript(ts *testscript.TestScript, name string) (net.Conn, error) {
	a := find(ts, name).addr
	network, address := "tcp", net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
	if a.Kind == socket.Unix {
		network, address = "unix", a.Path
	}
	c, err := net.DialTimeout(network, address, scriptPatience)
	if err == nil {
		ts.Defer(func() { c.Close() })
		c.SetDeadline(time.Now().Add(scriptPatience))
	}
	return c, err
}

// scriptConnect opens a connection under a name, and keeps it: connect c a.
func scriptConnect(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, neg, "connect CONNECTION NAME")
	c, err := dialScript(ts, args[1])
	ts.Check(err)
	sceneOf(ts).conns[args[0]] = c
}

func connOf(ts *testscript.TestScript, name string) net.Conn {
	c := sceneOf(ts).conns[name]
	if c == nil {
		ts.Fatalf("no connection %q was made", name)
	}
	return c
}

// scriptSay sends a text and wants it back: say c hello.
func scriptSay(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, neg, "say CONNECTION TEXT")
	c := connOf(ts, args[0])
	_, err := io.WriteString(c, args[1])
	ts.Check(err)
	got := make([]byte, len(args[1]))
	if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, []byte(args[1])) {
		ts.Fatalf("got %q back, %v", got[:n], err)
	}
}

// scriptSend sends a text, and wants nothing back: send c hello.
func scriptSend(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, neg, "send CONNECTION TEXT")
	_, err := io.WriteString(connOf(ts, args[0]), args[1])
	ts.Check(err)
}

// scriptFinish ends a connection, and wants the other side to: finish c.
func scriptFinish(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 1, neg, "finish CONNECTION")
	c := connOf(ts, args[0])
	ts.Check(c.(interface{ CloseWrite() error }).CloseWrite())
	if got, err := io.ReadAll(c); err != nil || len(got) > 0 {
		ts.Fatalf("got %q, %v; want an end", got, err)
	}
}

// scriptCut wants a connection to have been reset: cut c.
func scriptCut(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 1, neg, "cut CONNECTION")
	if n, err := connOf(ts, args[0]).Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		ts.Fatalf("got %d bytes, %v; want a reset", n, err)
	}
}

// scriptRefused connects and wants to be reset, at once or soon: refused a.
func scriptRefused(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 1, neg, "refused NAME")
	c, err := dialScript(ts, args[0])
	if err == nil {
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		ts.Fatalf("got %v, want a reset", err)
	}
}

// scriptStaleUnix leaves a socket file that nobody listens on: staleunix s.
func scriptStaleUnix(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 1, neg, "staleunix FILE")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Clean(ts.MkAbs(args[0]))})
	ts.Check(err)
	ln.SetUnlinkOnClose(false)
	ln.Close()
}
