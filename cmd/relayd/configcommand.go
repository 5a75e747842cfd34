package main

// The commands check and config: what a file says, before it is run.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"relayd/cmd/relayd/internal/config"
)

const configLong = `Config prints the configuration that relayd run would start from. A flag is
stronger than a RELAYD_ variable of the environment, that is stronger than the
file of -c, and that than the default.

A flag stands for a key of the file: --idle-timeout for timeouts.idle, which
holds on routes that have no idle timeout of their own. -l, -t, --up, --down,
--wrap, --unwrap and --at make listeners, a route and an upstream called default; with
a file that has any of these they are an error.`

const configExample = `  relayd config from-flags -l :8080 -t 10.0.0.5:80 > relayd.yaml
  relayd check -c relayd.yaml
  relayd config print -c relayd.yaml --origins
  relayd config schema > relayd.schema.json
  relayd config reference`

// newCheckCommand returns the command relayd check.
func newCheckCommand() *cobra.Command {
	return configured("check -c FILE", "Check a configuration file", func(c *cobra.Command, f *runFlags) error {
		if f.config == "" {
			return &exitError{code: exitUsage, err: errors.New("no file is given to check"), hint: "name it with -c FILE"}
		}
		conf, problems, err := f.configure(c.Flags())
		if err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%s: ok: %s\n", show(f.config), conf.Summary())
		for _, p := range problems.List {
			fmt.Fprintln(c.ErrOrStderr(), p)
		}
		return nil
	})
}

// newConfigCommand returns the command relayd config, with those below it.
func newConfigCommand() *cobra.Command {
	c := &cobra.Command{
		Use:                   "config",
		Short:                 "Print the configuration, its schema, or a reference of it",
		Long:                  configLong,
		Example:               configExample,
		Args:                  cobra.NoArgs,
		DisableFlagsInUseLine: true,
		RunE: func(*cobra.Command, []string) error {
			return &exitError{code: exitUsage, err: errors.New("config print, schema, reference or from-flags?"), hint: "see relayd config --help"}
		},
	}
	c.AddCommand(newConfigPrint(), newConfigFromFlags(), newConfigSchema(), newConfigReference())
	return c
}

func newConfigPrint() *cobra.Command {
	var style config.Style
	c := configured("print [-c FILE]", "Print what relayd run would start from", func(c *cobra.Command, f *runFlags) error {
		return printConfig(c, f, style)
	})
	c.Flags().BoolVar(&style.Origins, "origins", false, "say of each value where it comes from")
	return c
}

func newConfigFromFlags() *cobra.Command {
	return configured("from-flags", "Print the file that equals the command line", func(c *cobra.Command, f *runFlags) error {
		if f.config != "" {
			return &exitError{code: exitUsage, err: errors.New("-c: there is a file already"), hint: "relayd config print has what flags and file say together"}
		}
		return printConfig(c, f, config.Style{Given: true})
	})
}

func printConfig(c *cobra.Command, f *runFlags, style config.Style) error {
	conf, _, err := f.configure(c.Flags())
	if err == nil {
		err = writable(c.Flags())
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(c.OutOrStdout(), conf.YAML(style))
	return err
}

// writable returns nil if a file can say what the flags do. Names of files need not
// be UTF-8; addresses and stages have escapes.
func writable(set *pflag.FlagSet) (err error) {
	set.Visit(func(flag *pflag.Flag) {
		if text := flag.Value.String(); !utf8.ValidString(text) && err == nil {
			err = &exitError{code: exitUsage, err: fmt.Errorf("%s: %q is not UTF-8, and a configuration file is", originOf(set, flag.Name), text)}
		}
	})
	return err
}

// configured is a command that has the flags of run.
func configured(use, short string, run func(*cobra.Command, *runFlags) error) *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:                   use + " [flags]",
		Short:                 short,
		Args:                  cobra.NoArgs,
		DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := fromEnvironment(c.Flags(), os.LookupEnv); err != nil {
				return err
			}
			return run(c, &f)
		},
	}
	f.add(c.Flags())
	c.Flags().SortFlags = false
	return c
}

func newConfigSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the file, for editors",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			text, err := config.Schema()
			if err == nil {
				_, err = c.OutOrStdout().Write(text)
			}
			return err
		},
	}
}

func newConfigReference() *cobra.Command {
	return &cobra.Command{
		Use:   "reference",
		Short: "Print a file with every key, its default and what it means",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := io.WriteString(c.OutOrStdout(), config.Reference())
			return err
		},
	}
}
