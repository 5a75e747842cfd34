package transform

// The values of options: their canonical forms, and what stands for what.

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// numberOf returns the number that a canonical value is.
func numberOf(value string) int {
	n, err := strconv.Atoi(value)
	if err != nil {
		panic("transform: not canonical: " + value)
	}
	return n
}

// powersOfTwo is the canon of an option that is a size in bytes: a power of two
// from low to high. It is written as a number, or as one with k or M.
func powersOfTwo(low, high int) func(string) (string, error) {
	return func(value string) (string, error) {
		n, ok := parseSize(value)
		if !ok || n < low || n > high || bits.OnesCount(uint(n)) != 1 {
			return "", fmt.Errorf("want a power of two from %s to %s", size(low), size(high))
		}
		return size(n), nil
	}
}

// sizeOf returns the bytes that a canonical value stands for.
func sizeOf(value string) int {
	n, ok := parseSize(value)
	if !ok {
		panic("transform: not canonical: " + value)
	}
	return n
}

// parseSize reads a number of bytes, or of k(iB) or M(iB), in either case.
func parseSize(value string) (n int, ok bool) {
	digits, shift := strings.ToLower(value), 0
	digits = strings.TrimSuffix(digits, "ib")
	switch {
	case strings.HasSuffix(digits, "k"):
		shift = 10
	case strings.HasSuffix(digits, "m"):
		shift = 20
	case len(digits) != len(value): // a unit without its letter
		return 0, false
	}
	if shift > 0 {
		digits = digits[:len(digits)-1]
	}
	u, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || u<<shift > 1<<30 {
		return 0, false
	}
	return int(u << shift), true
}

// size writes a number of bytes.
func size(n int) string {
	switch {
	case n > 0 && n%(1<<20) == 0:
		return strconv.Itoa(n>>20) + "M"
	case n > 0 && n%(1<<10) == 0:
		return strconv.Itoa(n>>10) + "k"
	}
	return strconv.Itoa(n)
}

// off is the value of an option that is turned off.
const off = "off"

var errDuration = errors.New("want a duration such as 500ms, 10s or 2m, or off")

// durationOrOff is the canon of an option that is a time span, and may be off.
func durationOrOff(value string) (string, error) {
	if value == off || value == "0" {
		return off, nil
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		return "", errDuration
	}
	if d == 0 {
		return off, nil
	}
	return d.String(), nil
}

// durationOf returns what a canonical value stands for; off is 0.
func durationOf(value string) time.Duration {
	if value == off {
		return 0
	}
	d, err := time.ParseDuration(value)
	if err != nil {
		panic("transform: not canonical: " + value)
	}
	return d
}
