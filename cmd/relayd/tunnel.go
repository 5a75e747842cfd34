package main

import (
	"errors"
	"fmt"

	"relayd/transform"
)

// A tunnel is two relays: the near end wraps what it sends up, and the far end
// unwraps it; down it goes the other way. Both are given the same list. The stages
// of --up and --down stand on the plain side of it.

// tunnel puts the stages of --wrap or --unwrap into the chains.
func (f *runFlags) tunnel() error {
	if len(f.wrap) > 0 && len(f.unwrap) > 0 {
		return &exitError{code: exitUsage, err: errors.New("--wrap and --unwrap are the two ends of a tunnel, and this is one relay"),
			hint: "the near end has --wrap, the far end --unwrap, both with the same list"}
	}
	name, list := "--wrap", transform.Chain(f.wrap)
	if len(f.unwrap) > 0 {
		name, list = "--unwrap", transform.Chain(f.unwrap)
	}
	encode, decode, err := list.Tunnel()
	if err != nil {
		return &exitError{code: exitUsage, err: fmt.Errorf("%s %s: %w", name, list, err),
			hint: "relayd stages lists what has an inverse; --up and --down take any stage"}
	}
	if name == "--wrap" {
		f.up = append(f.up, encode...)
		f.down = append(chainFlag(decode), f.down...)
	} else {
		f.up = append(chainFlag(decode), f.up...)
		f.down = append(f.down, encode...)
	}
	f.wrap, f.unwrap = nil, nil
	return nil
}
