package config

import (
	"fmt"
	"strings"
)

// maxEdits is how far off a word may be to be taken for a known one.
const maxEdits = 2

// suggest ends a message about an unknown word with the known one that is
// nearest, if any is near.
func suggest(word string, known []string) string {
	best, most := "", maxEdits+1
	for _, k := range known {
		// Not all of a short one.
		if n := distance(word, k); n < min(most, max(2, len(k))) {
			best, most = k, n
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// distance is how many bytes to insert, delete, replace or swap with the next
// turn one word into the other, if it is not more than maxEdits. Case does not
// count, and - and _ are one.
func distance(a, b string) int {
	if d := len(a) - len(b); d > maxEdits || d < -maxEdits {
		return maxEdits + 1
	}
	a, b = fold(a), fold(b)
	var before, last []int // the two rows above
	for i := 0; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		for j := range row {
			if i == 0 || j == 0 {
				row[j] = i + j
				continue
			}
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

func fold(s string) string { return strings.ReplaceAll(strings.ToLower(s), "_", "-") }
