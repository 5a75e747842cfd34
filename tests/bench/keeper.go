// A keeper is a process that outlives bench by a moment, to end the relays and
// remove the files of a bench that was killed.

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// keep is the keeper's process. Lines say what to take care of (+PGID, the group
// of a process), and what no more (-PGID). At their end it kills the groups and
// removes the folder, if it was given one.
func keep(lines io.Reader, folder string) error {
	groups := make(map[int]bool)
	for l := bufio.NewScanner(lines); l.Scan(); {
		pgid, err := strconv.Atoi(strings.TrimLeft(l.Text(), "+-"))
		if err != nil || pgid <= 1 {
			return fmt.Errorf("keeper: bad line %q", l.Text())
		}
		if strings.HasPrefix(l.Text(), "+") {
			groups[pgid] = true
		} else {
			delete(groups, pgid)
		}
	}
	for pgid := range groups {
		killGroup(pgid)
	}
	if folder == "" {
		return nil
	}
	return os.RemoveAll(folder)
}

// A keeper is bench's end of the pipe to its keeper.
type keeper struct {
	cmd   *exec.Cmd
	lines io.WriteCloser
}

func startKeeper(folder string) (*keeper, error) {
	cmd, err := role(roleKeeper, folder)
	if err != nil {
		return nil, err
	}
	inGroup(cmd)
	lines, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("keeper: %w", err)
	}
	return &keeper{cmd, lines}, nil
}

func (k *keeper) add(pgid int) error {
	_, err := fmt.Fprintf(k.lines, "+%d\n", pgid)
	return err
}

func (k *keeper) remove(pgid int) error {
	_, err := fmt.Fprintf(k.lines, "-%d\n", pgid)
	return err
}

// close lets the keeper do its work, and waits for it.
func (k *keeper) close() error { return errors.Join(k.lines.Close(), k.cmd.Wait()) }
