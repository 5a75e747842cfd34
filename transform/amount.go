package transform

// Amounts of bytes, of a stream's length rather than of memory.

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

const (
	// maxAmount is the largest amount that can be written.
	maxAmount = 1 << 60

	units     = "kmgt"
	amountDoc = "bytes, also with k, M, G or T (of 1024, as KiB is)"
)

// parseAmount reads a number of bytes, or of k(iB), M(iB), G(iB) or T(iB), in
// either case.
func parseAmount(value string) (n int64, ok bool) {
	if strings.ContainsFunc(value, notASCII) { // the lower case of the sign for Kelvin is a k
		return 0, false
	}
	digits, shift := strings.ToLower(value), 0
	digits = strings.TrimSuffix(digits, "ib")
	if digits == "" {
		return 0, false
	}
	last := len(digits) - 1
	if i := strings.IndexByte(units, digits[last]); i >= 0 {
		digits, shift = digits[:last], 10*(i+1)
	} else if len(digits) != len(value) { // a unit without its letter
		return 0, false
	}
	u, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || u > maxAmount>>shift {
		return 0, false
	}
	return int64(u << shift), true
}

func notASCII(r rune) bool { return r > unicode.MaxASCII }

// amount writes a number of bytes.
func amount(n int64) string {
	for i := len(units); i > 0; i-- {
		if n > 0 && n%(1<<(10*i)) == 0 {
			return strconv.FormatInt(n>>(10*i), 10) + "kMGT"[i-1:i]
		}
	}
	return strconv.FormatInt(n, 10)
}

// amounts is the canon of an option that is a number of bytes from low to high.
func amounts(low, high int64) func(string) (string, error) {
	return func(value string) (string, error) {
		n, ok := parseAmount(value)
		if !ok || n < low || n > high {
			return "", fmt.Errorf("want bytes from %s to %s, such as 1500, 64k or 10MiB", amount(low), amount(high))
		}
		return amount(n), nil
	}
}

// amountOf returns the bytes that a canonical value stands for.
func amountOf(value string) int64 {
	n, ok := parseAmount(value)
	if !ok {
		panic("transform: not canonical: " + value)
	}
	return n
}
