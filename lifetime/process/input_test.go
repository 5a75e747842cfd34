package process

import (
	"errors"
	"io"
	"runtime"
	"syscall"
	"testing"

	"relayd/tests/leak"
)

// An input that was given up is not taken for one that has ended.
func TestInput(t *testing.T) {
	leak.Check(t)
	for _, whole := range []bool{true, false} {
		in, theirs, err := NewInput()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(in, "hello"); err != nil {
			t.Fatal(err)
		}
		if whole {
			in.CloseWrite()
		} else {
			in.Close()
		}
		got, err := io.ReadAll(theirs)
		if string(got) != "hello" {
			t.Errorf("got %q", got)
		}
		if whole && err != nil {
			t.Errorf("an end is read as %v", err)
		}
		if !whole && runtime.GOOS == "linux" && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("an input that is not whole ends with %v", err)
		}
		theirs.Close()
		in.Close()
	}
}

// A close wakes a write that nobody takes.
func TestInputCloseWakes(t *testing.T) {
	leak.Check(t)
	in, theirs, err := NewInput()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	ended := make(chan error)
	go func() {
		_, err := in.Write(make([]byte, 8<<20))
		ended <- err
	}()
	if _, err := io.ReadFull(theirs, make([]byte, 1000)); err != nil {
		t.Error(err)
	}
	in.Close()
	if err := <-ended; err == nil {
		t.Error("a write of 8 MiB to nobody succeeds")
	}
}
