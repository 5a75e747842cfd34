package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"relayd/tests/program"
)

// There is a page for each command, and those who read pages find nothing to say.
func TestManual(t *testing.T) {
	mandoc, man := program.Need(t, "mandoc"), program.Need(t, "man")
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	dir := t.TempDir()
	if err := writeManual(dir); err != nil {
		t.Fatal(err)
	}
	pages, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(pages) < 15 {
		t.Errorf("pages: %v", pages)
	}
	for _, page := range pages {
		for _, cmd := range []*exec.Cmd{
			exec.Command(mandoc, "-Tlint", "-W", "warning", page),
			exec.Command(man, "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page),
		} {
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if complaints := stderr.String(); err != nil || complaints != "" || strings.Contains(string(out), "WARNING") {
				t.Errorf("%s: %v\n%s%.500s", cmd, err, complaints, out)
			}
		}
	}
	page, err := os.ReadFile(filepath.Join(dir, "relayd.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`.TH "RELAYD" "1" "2023-11-14"`, ".SH Signals", ".SH Exit codes", "systemd://NAME", ".SH OPTIONS", ".SH SEE ALSO", `relayd-ps(1)`} {
		if !strings.Contains(string(page), want) {
			t.Errorf("relayd.1 has no %s", want)
		}
	}
	t.Setenv("SOURCE_DATE_EPOCH", "now")
	if err := writeManual(dir); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
		t.Errorf("a date that is none: %v", err)
	}
}

// What is indented stays as it is, and the rest means nothing but itself.
func TestMarkdown(t *testing.T) {
	got := markdown("a_b *c* <d>\n  one  two\n\n  three_\nend\n")
	want := "a\\_b \\*c\\* \\<d>\n\n      one  two\n\n      three_\nend\n"
	if got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
}
