package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"go/doc/comment"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"relayd/socket"
)

// The manual pages are the help of the commands, and the page of relayd itself is
// the comment of this package, too.

//go:embed doc.go
var packageComment string

const manLong = `Write the manual pages, relayd.1 and one for each command, into a directory that
is there. Their date is that of SOURCE_DATE_EPOCH, if that is set.`

// newManCommand is for who makes packages, and not in the help.
func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIRECTORY",
		Short:  "Write the manual pages",
		Long:   manLong,
		Args:   cobra.ExactArgs(1),
		Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			if err := writeManual(args[0]); err != nil {
				return &exitError{code: exitFailure, err: err}
			}
			return nil
		},
	}
}

// writeManual writes all pages into a directory.
func writeManual(dir string) error {
	date, err := sourceDate()
	if err != nil {
		return err
	}
	root := newRootCommand()
	root.DisableAutoGenTag = true
	root.InitDefaultCompletionCmd()
	forManual(root)
	root.Long = manualOf(packageComment) + "\n# Addresses\n\n" + markdown(addressesLong+indent(socket.OptionHelp()))
	return writePages(root, date, dir)
}

// writePages writes the page of a command, and those of the commands below it.
func writePages(c *cobra.Command, date time.Time, dir string) error {
	for _, sub := range c.Commands() {
		if !sub.IsAvailableCommand() || sub.IsAdditionalHelpTopicCommand() {
			continue
		}
		if err := writePages(sub, date, dir); err != nil {
			return err
		}
	}
	name := strings.ReplaceAll(c.CommandPath(), " ", "-")
	var page bytes.Buffer
	err := doc.GenMan(c, &doc.GenManHeader{
		Title: strings.ToUpper(name), Section: "1", Date: &date,
		Source: "relayd " + release(), Manual: "relayd manual",
	}, &page)
	if err != nil {
		return err
	}
	text := flagParagraph.ReplaceAll(page.Bytes(), []byte(".TP\n$1\n$2\n"))
	text = bytes.Replace(text, []byte(date.Format("Jan 2006")), []byte(date.Format(time.DateOnly)), 1)
	return writeWhole(filepath.Join(dir, name+".1"), text)
}

// flagParagraph is a flag as the writer of pages leaves it: its name, and a line
// that begins with a tab, which stands anywhere. It becomes an item of a list.
var flagParagraph = regexp.MustCompile(`(?m)^(?:\.PP\n)?(\\fB-.*)\n\t(.*)\n`)

// sourceDate is the date of what is built, or today.
func sourceDate() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Now(), nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("environment variable SOURCE_DATE_EPOCH: %q is not a number of seconds", text)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// forManual makes the texts of a command and of those below it what the writer of
// pages expects, which is Markdown.
func forManual(c *cobra.Command) {
	c.Long = markdown(c.Long)
	for _, sub := range c.Commands() {
		forManual(sub)
	}
}

// markdown returns help as Markdown: what is indented stays as it is, and in the
// rest nothing has a meaning.
func markdown(text string) string {
	escape := strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "<", `\<`, "[", `\[`, "#", `\#`)
	var b strings.Builder
	inside := false
	for line := range strings.Lines(text) {
		indented := strings.HasPrefix(line, "  ")
		if indented && !inside {
			b.WriteString("\n")
		}
		if blank := strings.TrimSpace(line) == ""; !blank {
			inside = indented
		}
		if indented {
			b.WriteString("    " + line)
		} else {
			b.WriteString(escape.Replace(line))
		}
	}
	return b.String()
}

// manualOf returns the comment of a package as Markdown, without the paragraph
// that every page has by itself.
func manualOf(source string) string {
	var text strings.Builder
	for line := range strings.Lines(source) {
		rest, ok := strings.CutPrefix(line, "//")
		if !ok {
			break
		}
		text.WriteString(strings.TrimPrefix(rest, " "))
	}
	var p comment.Parser
	out := comment.Printer{HeadingLevel: 1, HeadingID: func(*comment.Heading) string { return "" }}
	return string(out.Markdown(p.Parse(text.String())))
}
