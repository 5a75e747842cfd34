package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"relayd/socket"
)

func newKeygenCommand() *cobra.Command {
	var shared bool
	c := &cobra.Command{
		Use:   "keygen [--shared] [FILE]",
		Short: "Make a key for a tunnel",
		Long: `Keygen makes a key for the tunnels of --wrap and --unwrap, and writes it to FILE
(relayd.key), which must not exist, for its owner alone. What is not secret it
prints: the flags that use the key.

Without --shared the key is one end's own, and each end has one; it is given the
other end's public key by --peer-key. With --shared there is one key, which both
ends have, and which somebody has to carry from one to the other.`,
		Example: `  relayd keygen --shared tunnel.key
  relayd keygen near.key`,
		DisableFlagsInUseLine: true,
		Args:                  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			path := "relayd.key"
			if len(args) > 0 {
				path = args[0]
			}
			return keygen(c.OutOrStdout(), path, shared)
		},
	}
	c.Flags().BoolVar(&shared, "shared", false, "make one that both ends share")
	return c
}

// keygen makes a key, writes it to path, and says how to use it.
func keygen(stdout io.Writer, path string, shared bool) error {
	k, err := socket.NewKey(shared)
	if err != nil {
		return &exitError{code: exitFailure, err: err}
	}
	if err := writeSecret(path, k.File); err != nil {
		e := &exitError{code: exitFailure, err: fmt.Errorf("key file: %w", err)}
		if errors.Is(err, fs.ErrExist) {
			e.hint = "a key is never overwritten: choose another file, or move this one away"
		}
		return e
	}
	if shared {
		_, err = fmt.Fprintf(stdout, `near end: relayd --wrap STAGES --key %[1]s
far end:  relayd --unwrap STAGES --key %[1]s
`, quote(path))
	} else {
		_, err = fmt.Fprintf(stdout, `this end:  --key %s
other end: --peer-key %s
`, quote(path), k.Public)
	}
	if err != nil {
		return &exitError{code: exitFailure, err: err}
	}
	return nil
}

// writeSecret writes a file that was not there before, whole or not at all, and
// that nobody else may read at any time.
func writeSecret(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		os.Remove(path)
	}
	return err
}
