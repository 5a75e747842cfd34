package program

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"testing"
)

// selfVariable in the environment says who the test's own binary is to be.
const selfVariable = "RELAYD_TEST_ROLE"

// Role returns who this process is to be, as [StartSelf] has said, and "" for a
// process that runs tests. TestMain asks it first.
func Role() string { return os.Getenv(selfVariable) }

// A Self is the test's own binary in a process of its own, with descriptors and
// memory of its own, where TestMain plays a role instead of running tests.
type Self struct {
	Cmd *exec.Cmd
	In  io.WriteCloser // its standard input: it ends when that does
	Out *bufio.Reader  // its standard output
}

// StartSelf starts one. Who has not ended before is killed at the end of the test.
func StartSelf(t testing.TB, role string) *Self {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &Self{Cmd: exec.Command(path)}
	s.Cmd.Env = append(os.Environ(), selfVariable+"="+role)
	s.Cmd.Stderr = os.Stderr
	if s.In, err = s.Cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.Cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.Out = bufio.NewReader(out)
	if err := s.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

// End has it end, and waits for that. What it still says is thrown away.
func (s *Self) End() error {
	s.In.Close()
	io.Copy(io.Discard, s.Out)
	return s.Cmd.Wait()
}

// Kill ends it as kill -9 does, and waits for that.
func (s *Self) Kill() {
	s.Cmd.Process.Kill()
	s.End()
}
