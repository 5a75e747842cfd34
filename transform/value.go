package transform

// The values of options: their canonical forms, and what stands for what.

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
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

// parseSize is parseAmount of what fits into memory.
func parseSize(value string) (n int, ok bool) {
	a, ok := parseAmount(value)
	return int(min(a, 1<<30)), ok && a <= 1<<30
}

// size writes a number of bytes.
func size(n int) string { return amount(int64(n)) }

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
