package socket

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"relayd/tests/leak"
)

// quotaVar makes this test binary try out what a user gets whose share of pipes
// is used up.
const quotaVar = "RELAYD_TEST_PIPE_QUOTA"

// Who is not root has a share of the kernel's memory for pipes (pipe(7)). When
// others of this user have taken it, pipes are too small to splice through, and
// bulk is copied.
func TestPipeQuota(t *testing.T) {
	if os.Getenv(quotaVar) != "" {
		overQuota(t)
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestPipeQuota$")
	cmd.Env = append(os.Environ(), quotaVar+"=1")
	if os.Geteuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func overQuota(t *testing.T) {
	leak.Check(t)
	p := pipes.get()
	if p == nil || p.size != pipeSize {
		t.Fatalf("at first a pipe is %+v, want one of %d bytes", p, pipeSize)
	}
	pipes.close(p)
	defer takePipes(t)()
	if p := pipes.get(); p != nil {
		t.Errorf("over the quota there is a pipe of %d bytes", p.size)
	}
	if pipes.open != 0 {
		t.Errorf("%d pipes are counted", pipes.open)
	}
	r := newRelayed(t, "127.0.0.1:0")
	l := loops(t, 1).Least()
	for name, up := range map[string]func() error{
		"on a goroutine": func() error { _, err := Copy(r.toB, r.up, new(Moved)); return err },
		"on a loop": func() error {
			c := copyOn(t, l, r.toB, r.up)
			<-c.over
			return c.err
		},
	} {
		over := make(chan error, 1)
		go func() { over <- up() }()
		text := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
		go r.client.Write(text)
		got := make([]byte, len(text))
		if _, err := io.ReadFull(r.far, got); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: what arrives differs, %v", name, err)
		}
		r.up.Yield()
		if err := <-over; err != ErrYielded {
			t.Errorf("%s: %v", name, err)
		}
	}
	if pipes.open != 0 {
		t.Errorf("after all %d pipes are counted", pipes.open)
	}
	r.close(t, r.up.Drop, r.down.Drop, r.toA.Drop, r.toB.Drop)
}

// takePipes takes what this user may have of pipes, ever smaller ones until
// nothing is left, and returns what gives them back.
func takePipes(t *testing.T) (giveBack func()) {
	var taken []int
	for size := pipeSize; size >= pipeLeast/2; { // those of two pages one can always have
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		taken = append(taken, fds[0], fds[1])
		got, err := unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, size)
		switch {
		case err == unix.EPERM:
			size /= 2
		case err != nil || got != size:
			t.Fatalf("a pipe of %d bytes has %d, %v", size, got, err)
		}
	}
	return func() {
		for _, fd := range taken {
			unix.Close(fd)
		}
	}
}
