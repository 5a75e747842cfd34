//go:build !linux

// There is no usage to read but on Linux.

package main

import (
	"errors"
	"time"
)

// A usage is that of a process and all its descendants.
type usage struct {
	cpu    time.Duration
	memory int64
	fds    int
}

func cpuOf(int) (time.Duration, error) { return 0, errors.ErrUnsupported }

func usageOf(int) (usage, error) { return usage{}, errors.ErrUnsupported }
