package transform

// Suggestions: which of the known words somebody meant who wrote another one.

import (
	"fmt"
	"strings"
)

// maxEdits is how far off a word may be to be taken for a known one.
const maxEdits = 2

// suggest ends a sentence about an unknown word: with the known word that is
// nearest, or else with all of them.
func suggest(word string, known []string) string {
	best, bestEdits := "", maxEdits+1
	for _, k := range known {
		if n := edits(strings.ToLower(word), k); n < min(bestEdits, max(2, len(k))) { // not all of a short one
			best, bestEdits = k, n
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "known are " + strings.Join(known, ", ")
}

// edits counts the bytes to insert, delete or replace, and the neighbours to
// swap, that turn a into b. Where the lengths alone make it more than maxEdits,
// it does not go on: a is not ours, and may be long.
func edits(a, b string) int {
	if d := len(a) - len(b); d > maxEdits || -d > maxEdits {
		return maxEdits + 1
	}
	n := make([][]int, len(a)+1) // n[i][j]: edits from a[:i] to b[:j]
	for i := range n {
		n[i] = make([]int, len(b)+1)
		for j := range n[i] {
			if i == 0 || j == 0 {
				n[i][j] = i + j
				continue
			}
			replace := n[i-1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			n[i][j] = min(replace, n[i-1][j]+1, n[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				n[i][j] = min(n[i][j], n[i-2][j-2]+1)
			}
		}
	}
	return n[len(a)][len(b)]
}
