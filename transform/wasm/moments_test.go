package wasm

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"relayd/tests/leak"
	"relayd/transform"
	"relayd/transform/stagetest"
)

// Whenever a module's conn is ended, nothing is left of it.
func TestEveryMoment(t *testing.T) {
	const copies = "wasm:testdata/guest.wasm,args=copy"
	for text, early := range map[string]bool{
		copies:                         false,
		copies + ",trusted=true":       false,
		"exec:cat," + copies + ",hash": false,
		copies + ",zstd," + copies + ",unzstd," + copies:      false,
		"wasm:testdata/guest.wasm,args=copy=1000":             true,
		"exec:cat,wasm:testdata/guest.wasm,args=copy=10 trap": true,
	} {
		t.Run(text, func(t *testing.T) {
			leak.Check(t)
			leak.Processes(t)
			c, err := transform.ParseChain(text)
			if err != nil {
				t.Fatal(err)
			}
			stagetest.TestMoments(t, c, stagetest.Moments{Early: early})
		})
	}
}

// A module that traps has brought out what it wrote before, wherever that is, and
// the error has the trap's text.
func TestTrapAtEveryMoment(t *testing.T) {
	leak.Check(t)
	in := strings.Repeat("0123456789", 10)
	for _, around := range []string{"%s", "exec:cat,%s,hash", "s2,uns2,%s"} {
		for k := range len(in) {
			text := fmt.Sprintf(around, fmt.Sprintf("wasm:testdata/guest.wasm,args=copy=%d trap", k))
			c, err := transform.ParseChain(text)
			if err != nil {
				t.Fatal(err)
			}
			r, closeChain := c.Open(strings.NewReader(in))
			got, err := io.ReadAll(r)
			var stage *transform.Error
			if string(got) != in[:k] || !errors.As(err, &stage) || err.Error() != "wasm: the module trapped: unreachable" {
				t.Errorf("%s: got %q, %v", text, got, err)
			}
			if err := closeChain(); err != nil {
				t.Error(err)
			}
		}
	}
}
