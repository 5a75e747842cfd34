package transform

// The exec stage: the bytes go through a program.

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"time"

	"relayd/transform/internal/filter"
)

const maxExecGrace = time.Hour

var execDefinition = definition{
	Info: Info{
		Name:    "exec",
		Summary: "run the bytes through a program, from its standard input to its standard output",
		Options: []Option{{
			Name:   "command",
			Values: `a program and its arguments; '…', "…" and \ quote as in a shell`,
			Doc: "no shell is run unless it is the program: exec:/bin/sh -c '…';" +
				" commas need the stage's quotes around it all",
			Main:     true,
			Required: true,
			canon:    canonCommand,
			use:      usesCommand,
		}, {
			Name:    "grace",
			Default: "2s",
			Values:  "a duration up to 1h",
			Doc:     "how long the program may take to exit once it has ended its output or the stream has failed, and again after SIGTERM",
			canon:   canonGrace,
		}},
		Memory:  "a process; 36 KiB, and what the system keeps for a socket and two pipes, up to 0.5 MiB",
		Example: "exec:tr a-z A-Z",
		Notes: []string{
			"Each conn and direction has a program of its own. The end of the stream is the end of its " +
				"standard input, and the end of its standard output is the end of the stream; what it has not " +
				"read by then is lost.",
			"Its standard error goes to the log, line by line. An exit code that is not zero ends the " +
				"conn with the reason stage-failed, and the last of those lines. When the conn is cut, the " +
				"program and its process group are killed.",
			"A program that gathers its output, as most do when it is no terminal, delays interactive " +
				"traffic; stdbuf -oL or an option of its own may help.",
		},
	},
	build: func(values []string) opener {
		words, err := splitCommand(values[0])
		grace, err2 := time.ParseDuration(values[1])
		if err := errors.Join(err, err2); err != nil {
			panic("transform: exec: values are not canonical: " + err.Error())
		}
		return func(src *source) io.ReadCloser {
			start := func() (filter.Body, error) { return startProgram(words, grace, src.site) }
			f := filter.New(src, start)
			src.site.OnCut(f.Cut)
			return f
		}
	},
}

// canonCommand checks that a command can be split, and that its program is
// there, so that a wrong name is an error at start-up.
func canonCommand(value string) (string, error) {
	words, err := splitCommand(value)
	if err != nil {
		return "", err
	}
	_, err = exec.LookPath(words[0])
	var path *fs.PathError
	var lookup *exec.Error
	switch {
	case errors.As(err, &lookup):
		err = lookup.Err
	case errors.As(err, &path):
		err = path.Err
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", words[0], err)
	}
	return value, nil
}

func canonGrace(value string) (string, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 || d > maxExecGrace {
		return "", errors.New("want a duration from above 0 to 1h, such as 500ms")
	}
	return d.String(), nil
}
