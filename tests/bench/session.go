// A session is bench's end of a process of its own: a load, or the backend.

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
)

// A session talks in lines.
type session struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	spare func() bool // takes the killing at the context's end back
}

// startSession starts a process of this program in a role. It is killed when ctx
// ends.
func startSession(ctx context.Context, name string, args ...string) (*session, error) {
	cmd, err := role(name, args...)
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	spare := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	return &session{cmd: cmd, in: in, out: bufio.NewReader(out), spare: spare}, nil
}

// say writes a line.
func (s *session) say(line string) error {
	_, err := io.WriteString(s.in, line+"\n")
	return err
}

// hear reads a line.
func (s *session) hear() (string, error) {
	line, err := s.out.ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = errors.New("it ended without a word")
	}
	return strings.TrimSpace(line), err
}

// close ends the process: by the end of its input, unless it is killed.
func (s *session) close(kill bool) error {
	if kill {
		s.cmd.Process.Kill()
	}
	s.in.Close()
	err := s.cmd.Wait()
	s.spare()
	if kill {
		return nil
	}
	return err
}

// listen makes the backend forget its connections and listen elsewhere.
func (s *session) listen() (netip.AddrPort, error) {
	if err := s.say("listen"); err != nil {
		return netip.AddrPort{}, fmt.Errorf("backend: %w", err)
	}
	line, err := s.hear()
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("backend: %w", err)
	}
	return netip.ParseAddrPort(line)
}

// job gives a load its job.
func (s *session) job(j job) error {
	b, err := json.Marshal(j)
	if err != nil {
		return err
	}
	return s.say(string(b))
}

// step waits until the load has made a step, and returns its tally.
func (s *session) step(ctx context.Context, want string) (tally, error) {
	line, err := s.hear()
	if ctx.Err() != nil {
		return tally{}, fmt.Errorf("it hangs: not %s in time", want)
	}
	if err != nil {
		return tally{}, fmt.Errorf("load: %w", err)
	}
	var got step
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		return tally{}, fmt.Errorf("load: %w", err)
	}
	switch got.Step {
	case want:
		return got.Tally, nil
	case stepFailed:
		return tally{}, errors.New(got.Reason)
	}
	return tally{}, fmt.Errorf("load: %s instead of %s", got.Step, want)
}

// measure lets the load measure, and returns what it counted.
func (s *session) measure(ctx context.Context) (tally, error) {
	if err := s.say("measure"); err != nil {
		return tally{}, err
	}
	return s.step(ctx, stepMeasured)
}

// finish lets the load send its FINs and verify the answers to them.
func (s *session) finish(ctx context.Context) error {
	if err := s.say("end"); err != nil {
		return err
	}
	_, err := s.step(ctx, stepEnded)
	return err
}
