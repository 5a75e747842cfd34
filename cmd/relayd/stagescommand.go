package main

// The command relayd stages: what stages there are, and the manual of each. Both
// are made from the stages' own table.

import (
	"io"

	"github.com/spf13/cobra"

	"relayd/cmd/relayd/internal/screen"
	"relayd/transform"
)

const stagesLong = `Stages lists what bytes can be sent through on their way, with --up and --down of
relayd run: the options of each with their defaults, the stage that undoes it,
and what memory an open one holds. With a NAME it prints that stage's manual.

A stage is written NAME or NAME:KEY=VALUE,KEY=VALUE. The key of an option that is
called the main one is left out: exec:cat. A value with a comma in it is put in
double quotes. A list of stages is written with commas, or as several flags.

There is no stage that drops bytes: a TCP stream has no loss that its ends could
see. To them it looks like delay or stall, or in the end like reset.

Add, set and rm change the stages of a relayd that runs.`

const stagesExample = `  relayd stages
  relayd stages zstd
  relayd stages --json`

func newStagesCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:                   "stages [NAME]",
		Short:                 "List the stages, or print the manual of one",
		Long:                  stagesLong,
		Example:               stagesExample,
		Args:                  cobra.MaximumNArgs(1),
		ValidArgsFunction:     completeStage,
		DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listStages(c.OutOrStdout(), transform.Stages(), asJSON)
			}
			stage, err := transform.Describe(args[0])
			if err != nil {
				return &exitError{code: exitUsage, err: err, hint: "relayd stages lists them all"}
			}
			return printStage(c.OutOrStdout(), stage, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	c.AddCommand(newEditCommands()...)
	return c
}

// completeStage tells a shell the names.
func completeStage(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if len(args) == 0 {
		for _, s := range transform.Stages() {
			names = append(names, cobra.CompletionWithDesc(s.Name, s.Summary))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func listStages(out io.Writer, stages []transform.Info, asJSON bool) error {
	if asJSON {
		list := struct {
			Stages []stageJSON `json:"stages"`
		}{}
		for _, s := range stages {
			list.Stages = append(list.Stages, jsonOf(s))
		}
		return screen.PrintJSON(out, list)
	}
	_, err := io.WriteString(out, stageList(stages))
	return err
}

func printStage(out io.Writer, s transform.Info, asJSON bool) error {
	if asJSON {
		return screen.PrintJSON(out, jsonOf(s))
	}
	_, err := io.WriteString(out, stageManual(s))
	return err
}

// A stageJSON is a stage as --json prints it.
type stageJSON struct {
	Name    string       `json:"name"`
	Summary string       `json:"summary"`
	Options []optionJSON `json:"options"`
	Inverse string       `json:"inverse,omitempty"`
	Memory  string       `json:"memory"`
	Example string       `json:"example"`
	Notes   []string     `json:"notes"`
}

type optionJSON struct {
	Name     string `json:"name"`
	Default  string `json:"default"`
	Values   string `json:"values"`
	Doc      string `json:"doc"`
	Main     bool   `json:"main"`
	Required bool   `json:"required"`
}

func jsonOf(s transform.Info) stageJSON {
	j := stageJSON{
		Name: s.Name, Summary: s.Summary, Options: []optionJSON{}, Inverse: s.Inverse,
		Memory: s.Memory, Example: s.Example, Notes: append([]string{}, s.Notes...),
	}
	for _, o := range s.Options {
		j.Options = append(j.Options, optionJSON{o.Name, o.Default, o.Values, o.Doc, o.Main, o.Required})
	}
	return j
}
