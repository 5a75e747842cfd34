package main

import (
	"strings"
	"unicode/utf8"
)

// textWidth is for text that a terminal shows.
const textWidth = 80

// wrap breaks text between words into lines of at most width characters. A word
// that is longer has a line of its own.
func wrap(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case utf8.RuneCountInString(*last)+1+utf8.RuneCountInString(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}
