package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"relayd/tests/leak"
	"relayd/tests/program"
)

// A relayd that is killed without warning, at any moment of its life and under
// load, stands in no successor's way: its socket files are taken over, the files
// that it wrote are whole but for what was under way, and only the conns that it
// held are lost.
func TestKilledAtAnyMoment(t *testing.T) {
	tshark := program.Need(t, "tshark")
	leak.Check(t)
	relayd, err := exec.LookPath("relayd")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	upstream := echoServer(t)
	port := freePort(t)
	args := []string{
		"-l", in("listen.sock"), "-l", "127.0.0.1:" + port, "-t", upstream, "--admin", in("admin.sock"),
		"--ready-file", in("ready"), "--up", "pcapng:" + in("capture"), "--log-level", "error",
	}
	random := rand.New(rand.NewPCG(1, 2))
	rounds := 40
	if testing.Short() {
		rounds = 8
	}
	writeOld := os.WriteFile(in("ready")+".new", []byte("tcp://127.0"), 0o600) // of one who was killed just then
	if writeOld != nil {
		t.Fatal(writeOld)
	}
	for round := range rounds {
		os.Remove(in("ready")) // as whoever starts it does
		cmd := exec.Command(relayd, args...)
		var log bytes.Buffer
		cmd.Stdout, cmd.Stderr = io.Discard, &log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		load := make(chan int)
		go ask(ctx, "127.0.0.1:"+port, load)
		// The first rounds are killed while it starts, the later ones at work.
		life := time.Duration(random.Int64N(int64(50 * time.Millisecond)))
		if round > rounds/4 {
			if !within(t, func() bool { return exists(in("ready")) }) {
				t.Fatalf("round %d: not ready: %s", round, &log)
			}
			life = time.Duration(random.Int64N(int64(150 * time.Millisecond)))
		}
		<-time.After(life)
		cmd.Process.Kill()
		cmd.Wait()
		stop()
		answered := <-load
		if strings.Contains(log.String(), "listen") {
			t.Fatalf("round %d, after %d answers: it did not start: %s", round, answered, &log)
		}
		if text, err := os.ReadFile(in("ready")); err == nil && strings.Count(string(text), "\n") != 2 {
			t.Errorf("round %d: half a ready file: %q", round, text)
		}
	}
	// The last one stays.
	cmd := exec.Command(relayd, args...)
	var log bytes.Buffer
	cmd.Stderr = &log
	os.Remove(in("ready"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	if !within(t, func() bool { return exists(in("ready")) }) {
		t.Fatalf("after all, it does not start: %s", &log)
	}
	for _, at := range [][2]string{{"unix", in("listen.sock")}, {"tcp", "127.0.0.1:" + port}} {
		if err := askOnce(at[0], at[1]); err != nil {
			t.Errorf("%v: %v", at, err)
		}
	}
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, &log)
	}
	left, _ := filepath.Glob(in("*"))
	if len(left) != 1 || left[0] != in("capture") {
		t.Errorf("it has left %v", left)
	}
	if out, err := exec.Command(tshark, "-r", in("capture"), "-q", "-z", "io,phs").CombinedOutput(); err != nil || !bytes.Contains(out, []byte("tcp")) {
		t.Errorf("the capture: %v: %s", err, out)
	}
}

// within reports whether ok came true in time.
func within(t *testing.T, ok func() bool) bool {
	timer := time.NewTimer(scriptPatience)
	defer timer.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timer.C:
			return false
		}
	}
	return true
}

// freePort returns a port that nobody has.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// echoServer echoes until the end of the test.
func echoServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go echoOnce(c.(*net.TCPConn))
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-ended
	})
	return ln.Addr().String()
}

func echoOnce(c *net.TCPConn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(scriptPatience))
	io.Copy(c, struct{ io.Reader }{c}) // without splice(2), whose pipes stay
}

// ask asks one question after the other, until ctx ends, and counts the answers.
// That there is nobody, or he goes away, is no fault; a wrong answer is.
func ask(ctx context.Context, addr string, answers chan<- int) {
	n := 0
	for ctx.Err() == nil {
		switch err := askOnce("tcp", addr); {
		case err == nil:
			n++
		case errors.Is(err, errWrong):
			panic(err)
		default:
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
	answers <- n
}

var errWrong = errors.New("another answer than the question")

func askOnce(network, addr string) error {
	c, err := net.DialTimeout(network, addr, scriptPatience)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(scriptPatience))
	question := strings.Repeat("question ", 100)
	if _, err := io.WriteString(c, question); err != nil {
		return err
	}
	answer := make([]byte, len(question))
	if n, err := io.ReadFull(c, answer); err != nil {
		if !strings.HasPrefix(question, string(answer[:n])) {
			return errWrong
		}
		return err
	}
	if string(answer) != question {
		return errWrong
	}
	return nil
}
