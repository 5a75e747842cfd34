package transform_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"errors"
	"io"
	"os/exec"
	"testing"

	"relayd/tests/program"
)

// pipe runs a program on in.
func pipe(t *testing.T, in []byte, name string, args ...string) []byte {
	t.Helper()
	path := program.Need(t, name)
	cmd := exec.Command(path, args...)
	cmd.Stdin = bytes.NewReader(in)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v: %s", cmd, err, complaints.Bytes())
	}
	return out
}

func TestGzipProgram(t *testing.T) {
	for _, want := range [][]byte{nil, []byte("x"), sample(500_000)} {
		if got := pipe(t, run(t, "gzip", want), "gzip", "-dc"); !bytes.Equal(got, want) {
			t.Errorf("gzip, then the program: %d bytes became %d others", len(want), len(got))
		}
		packed := pipe(t, want, "gzip", "-c")
		if got := run(t, "gunzip", packed); !bytes.Equal(got, want) {
			t.Errorf("the program, then gunzip: %d bytes became %d others", len(want), len(got))
		}
		if got := run(t, "gunzip", append(packed, packed...)); !bytes.Equal(got, append(want, want...)) {
			t.Errorf("the program twice, then gunzip: twice %d bytes became %d others", len(want), len(got))
		}
	}
}

func TestGzipOfNothing(t *testing.T) {
	packed := run(t, "gzip", nil)
	if len(packed) == 0 {
		t.Fatal("nothing became nothing, which is no gzip stream")
	}
	z, err := stdgzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := io.ReadAll(z); len(out) > 0 || err != nil {
		t.Errorf("got %q, %v from %x", out, err, packed)
	}
}

// A server that speaks first must not be kept waiting, nor sent a header
// before there is anything to say.
func TestGzipIsSilentAtFirst(t *testing.T) {
	failed := errors.New("failed")
	r := mustParse(t, "gzip").Open(&stub{read: func([]byte) (int, error) { return 0, failed }})
	defer r.Close()
	if n, err := r.Read(make([]byte, 100)); n != 0 || err != failed {
		t.Errorf("got %d, %v; want 0 and the source's error", n, err)
	}
}

// The first bytes go out in one piece with the header: one packet, not two.
func TestGzipHeaderComesWithData(t *testing.T) {
	hello := true
	r := mustParse(t, "gzip").Open(&stub{
		ready: func() bool { return false },
		read: func(p []byte) (int, error) {
			if !hello {
				return 0, io.EOF
			}
			hello = false
			return copy(p, "hello"), nil
		},
	})
	defer r.Close()
	buf := make([]byte, 4096)
	n, err := r.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	z, err := stdgzip.NewReader(bytes.NewReader(buf[:n]))
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(z, got); err != nil || string(got) != "hello" {
		t.Errorf("the first Read held %q, %v; want hello", got, err)
	}
}
