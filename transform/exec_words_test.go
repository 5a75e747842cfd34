package transform_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"relayd/transform"
)

// What a shell would act on is refused where it stands bare, and in quotes it is
// the program's argument like any other.
func TestExecRunsNoShell(t *testing.T) {
	const words = "$(id) `id` ; | & > /nowhere/x $HOME * ~ !x"
	for word := range strings.FieldsSeq("$(id) `id` ; | & >x $HOME") {
		if _, err := transform.ParseChain("exec:/bin/echo " + word); err == nil || !strings.Contains(err.Error(), "shell") {
			t.Errorf("bare %s: %v", word, err)
		}
	}
	r := chain(t, "exec:/bin/echo '"+words+"'")(bytes.NewReader(nil))
	defer r.Close()
	out, err := io.ReadAll(r)
	if err != nil || strings.TrimSuffix(string(out), "\n") != words {
		t.Errorf("%q, %v; want %q", out, err, words)
	}
}
