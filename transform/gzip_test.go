package transform_test

import (
	"bytes"
	stdgzip "compress/gzip"
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
