// Options are what the flags say.

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

type options struct {
	quick   bool
	rounds  int
	measure time.Duration
	only    *regexp.Regexp // nil: all rows
	peers   []string       // none: all peers
	relayd  string         // "": build it
	json    string
	svg     string
	keep    bool
	carry   int64 // bytes of a file to carry, instead of the rows; 0 for the rows

	patience time.Duration // with a relay that hangs, after the time of the load
}

const usageText = `Bench measures relayd beside other relays.

Usage:
  go run ./tests/bench [flags]

Flags:
      --quick          less than two minutes: short measurements, one round of the large rows
      --rounds N       measure each row N times, more for figures to quote (default 3)
      --time TIME      measure for TIME each (default 1s, quick 120ms)
      --only REGEXP    only the rows whose name matches
      --peers LIST     only these relays: names with commas between; direct is always there
      --relayd FILE    measure this relayd, instead of building it
      --json FILE      write all figures to FILE
      --svg FILE       write a chart to FILE
      --carry SIZE     instead of the rows, have curl get files of SIZE, such as 1GiB, through
                       tunnels, a program and a WebAssembly module, beside socat and zstd;
                       --only is then of text, noise and mixed
      --keep           keep the relays' configurations and logs, and say where
`

// parseOptions parses the command line. Of -h it returns flag.ErrHelp.
func parseOptions(args []string, out io.Writer) (options, error) {
	o := options{patience: 15 * time.Second}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.BoolVar(&o.quick, "quick", false, "")
	f.IntVar(&o.rounds, "rounds", 3, "")
	f.DurationVar(&o.measure, "time", 0, "")
	f.Func("only", "", o.setOnly)
	f.Func("peers", "", o.setPeers)
	f.StringVar(&o.relayd, "relayd", "", "")
	f.StringVar(&o.json, "json", "", "")
	f.StringVar(&o.svg, "svg", "", "")
	f.BoolVar(&o.keep, "keep", false, "")
	f.Func("carry", "", o.setCarry)
	f.Usage = func() {} // it would be for wrong flags, too
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		_, e := io.WriteString(out, usageText)
		return o, errors.Join(err, e)
	case err != nil:
		return o, fmt.Errorf("%w; see --help", err)
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("%q is not a flag", f.Arg(0))
	case o.rounds < 1:
		return o, fmt.Errorf("--rounds %d: at least 1", o.rounds)
	case o.measure < 0:
		return o, fmt.Errorf("--time %v: more than 0", o.measure)
	case o.measure == 0 && o.quick:
		o.measure = 120 * time.Millisecond
	case o.measure == 0:
		o.measure = time.Second
	}
	return o, nil
}

func (o *options) setOnly(s string) (err error) {
	o.only, err = regexp.Compile(s)
	return err
}

func (o *options) setPeers(s string) error {
	o.peers = strings.Split(s, ",")
	return nil
}

func (o *options) setCarry(s string) error {
	for unit, size := range map[string]int64{"MiB": 1 << 20, "GiB": 1 << 30} {
		digits, ok := strings.CutSuffix(s, unit)
		n, err := strconv.ParseInt(digits, 10, 32)
		if ok && err == nil && n > 0 {
			o.carry = n * size
			return nil
		}
	}
	return errors.New("want a size such as 64MiB or 1GiB")
}

// warm is how long a load runs before it counts.
func (o options) warm() time.Duration { return o.measure / 4 }

// settle is how long connections are idle before their memory is read.
func (o options) settle() time.Duration { return o.measure }

// choose returns the rows and peers to run.
func (o options) choose(rows []row, peers []peer) ([]row, []peer, error) {
	for _, name := range o.peers {
		if !slices.ContainsFunc(peers, func(p peer) bool { return p.name == name }) {
			return nil, nil, fmt.Errorf("--peers: there is no %q; there are %s", name, names(peers))
		}
	}
	if o.only != nil {
		rows = slices.DeleteFunc(slices.Clone(rows), func(w row) bool { return !o.only.MatchString(w.name) })
	}
	if len(rows) == 0 {
		return nil, nil, fmt.Errorf("--only %v: no row has such a name", o.only)
	}
	if len(o.peers) > 0 {
		peers = slices.DeleteFunc(slices.Clone(peers), func(p peer) bool {
			return p.name != peerDirect && !slices.Contains(o.peers, p.name)
		})
	}
	return rows, peers, nil
}

func names(peers []peer) string {
	var list []string
	for _, p := range peers {
		list = append(list, p.name)
	}
	return strings.Join(list, ", ")
}
