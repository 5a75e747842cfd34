package main

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"relayd/tests/program"
)

// Each content is as long as asked for, and the same each time.
func TestContents(t *testing.T) {
	for _, c := range contents {
		var once, again bytes.Buffer
		for _, b := range []*bytes.Buffer{&once, &again} {
			if err := c.writeTo(b, 200_001); err != nil {
				t.Fatal(err)
			}
		}
		if once.Len() != 200_001 || !bytes.Equal(once.Bytes(), again.Bytes()) {
			t.Errorf("%s: %d bytes, then %d", c.name, once.Len(), again.Len())
		}
		sum, err := c.write(filepath.Join(t.TempDir(), c.name), 200_001)
		if err != nil || sum != sha256.Sum256(once.Bytes()) {
			t.Errorf("%s: %v; or the file is something else", c.name, err)
		}
	}
}

// A file that arrives is timed, and one that is changed on its way has failed.
func TestCarry(t *testing.T) {
	program.Need(t, "curl")
	h := newHarness(t)
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	server := &http.Server{Handler: http.FileServer(http.Dir(h.yard.dir))}
	go serveFiles(server, ln, served)
	defer func() { server.Close(); <-served }()
	liar := func(r route) (*exec.Cmd, error) { return role("liar", r.listen, r.to, "flip-down") }
	var out strings.Builder
	o := options{rounds: 2, carry: 1 << 20}
	ways := []peer{{name: peerNaive, command: naiveCommand}, {name: "liar", command: liar}, {name: "none", missing: io.EOF}}
	if err := h.yard.carryContent(t.Context(), o, contents[1], ways, ln.Addr().String(), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"noise ", "  1.00", "liar   FAILED: ", "none   EOF"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}
