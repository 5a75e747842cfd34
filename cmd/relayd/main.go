package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"relayd/cmd/relayd/internal/screen"
)

func main() { os.Exit(realMain(os.Args[1:], os.Stdout, os.Stderr)) }

// The exit codes; doc.go lists them.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
	exitCut     = 3
)

// realMain runs the command line and returns the exit code.
func realMain(args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.Execute()
	if err == nil {
		return exitOK
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		// Whatever the command line's own parsing refuses.
		exit = &exitError{code: exitUsage, err: err}
	}
	printError(stderr, exit)
	return exit.code
}

// An exitError is an error that a command ends with.
type exitError struct {
	code int
	err  error
	hint string // what to do, a line each; "" for nothing
	// lines come first, as they are: places in a file that are wrong.
	lines string
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// printError writes an error and its hints in the one form that all have.
func printError(w io.Writer, e *exitError) {
	for line := range strings.Lines(e.lines) {
		fmt.Fprintln(w, cleanLine(strings.TrimRight(line, "\n")))
	}
	for i, line := range strings.Split(strings.TrimRight(e.err.Error(), "\n"), "\n") {
		if i == 0 {
			line = "relayd: " + line
		}
		fmt.Fprintln(w, cleanLine(line))
	}
	hint := e.hint
	if hint == "" {
		hint = hintFor(e.err)
	}
	if hint == "" && e.code == exitUsage {
		hint = "see relayd --help"
	}
	for line := range strings.Lines(hint) {
		fmt.Fprintf(w, "hint: %s\n", cleanLine(strings.TrimRight(line, "\n")))
	}
}

// cleanLine is a line as a terminal prints it and does not obey it: what is wrong
// is often somebody else's words. Tabs may be ours.
func cleanLine(line string) string {
	parts := strings.Split(line, "\t")
	for i := range parts {
		parts[i] = screen.Clean(parts[i])
	}
	return strings.Join(parts, "\t")
}
