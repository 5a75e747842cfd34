package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// strictHelp makes the help and completion commands refuse what they do not know.
// Cobra's own answer the help of the command above it, with exit code 0.
func strictHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Args = knownTopic
		case "completion":
			c.Args = noCommand
			c.DisableFlagsInUseLine = true
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
		}
	}
}

// knownTopic refuses a path to a command that is not there.
func knownTopic(c *cobra.Command, args []string) error {
	found, rest, err := c.Root().Find(args)
	if err == nil && len(rest) == 0 {
		return nil
	}
	e := &exitError{code: exitUsage, err: fmt.Errorf("unknown help topic %q", strings.Join(args, " "))}
	if len(rest) > 0 {
		if near := found.SuggestionsFor(rest[0]); len(near) > 0 {
			e.hint = "did you mean " + strings.Join(near, " or ") + "?"
		}
	}
	return e
}
