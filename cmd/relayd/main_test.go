package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"relayd/socket"
	"relayd/transform"
)

// Errors have one form: what is wrong, and a line for each thing to do.
func TestPrintError(t *testing.T) {
	_, address := socket.ParseAddress("nonsense")
	_, stage := transform.ParseStage("gzp")
	tests := []struct {
		name string
		exit *exitError
		hint string // the beginning of the first hint, "" for none
	}{
		{"failure", &exitError{code: exitFailure, err: errors.New("broken")}, ""},
		{"with its own hint", &exitError{code: exitFailure, err: syscall.EADDRINUSE, hint: "be patient"}, "be patient"},
		{"usage", &exitError{code: exitUsage, err: errors.New("broken")}, "see relayd --help"},
		{"address", &exitError{code: exitUsage, err: fmt.Errorf("flag: %w", address)}, "an address is one of"},
		{"stage", &exitError{code: exitUsage, err: fmt.Errorf("flag: %w", stage)}, "a stage is written NAME"},
		{"in use", &exitError{code: exitFailure, err: fmt.Errorf("listen: %w", syscall.EADDRINUSE)}, "another process"},
		{"forbidden", &exitError{code: exitFailure, err: syscall.EACCES}, "ports below 1024"},
		{"not ours", &exitError{code: exitFailure, err: syscall.EADDRNOTAVAIL}, "the address is not"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			printError(&b, tt.exit)
			first, hints, _ := strings.Cut(b.String(), "\n")
			if want := "relayd: " + tt.exit.err.Error(); first != want {
				t.Errorf("the first line is %q, want %q", first, want)
			}
			if tt.hint == "" && hints != "" || !strings.HasPrefix(hints, "hint: "+tt.hint) && tt.hint != "" {
				t.Errorf("the hints are %q, want %q", hints, tt.hint)
			}
			for line := range strings.Lines(hints) {
				if !strings.HasPrefix(line, "hint: ") || !strings.HasSuffix(line, "\n") {
					t.Errorf("a hint is %q", line)
				}
			}
		})
	}
}

// The code is the error's, also when somebody has wrapped it; what has none is
// of the command line's own parsing.
func TestRealMain(t *testing.T) {
	tests := []struct {
		args []string
		want int
	}{
		{[]string{"version"}, exitOK},
		{[]string{"--help"}, exitOK},
		{[]string{"--nope"}, exitUsage},
		{[]string{"nope"}, exitUsage},
		{[]string{"-l", "127.0.0.1:0", "-t", ":80"}, exitUsage},
		{[]string{"-l", "/nowhere/at/all", "-t", "echo:"}, exitFailure},
	}
	for _, tt := range tests {
		var stdout, stderr bytes.Buffer
		if got := realMain(tt.args, &stdout, &stderr); got != tt.want {
			t.Errorf("%v: %d, want %d: %s", tt.args, got, tt.want, &stderr)
		}
		if (stderr.Len() > 0) != (tt.want != exitOK) {
			t.Errorf("%v: standard error is %q", tt.args, &stderr)
		}
	}
}
