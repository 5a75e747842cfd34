package transform

// Commands as they are written in options: words, without a shell.

import (
	"errors"
	"fmt"
	"strings"
)

var errNoCommand = errors.New("want a program, and its arguments")

// SplitWords splits text into words much as a shell does, and without one.
// Blanks separate words. Between single quotes everything is as it is; between
// double ones a backslash takes the meaning from a double quote and from a
// backslash; outside of both, from any byte. Nothing is replaced: * and ~ are themselves. What
// would be an operator of a shell, or a $, is refused unless it is quoted:
// whoever writes cat|tr wants a shell.
func SplitWords(text string) ([]string, error) {
	if strings.IndexByte(text, 0) >= 0 {
		return nil, errors.New("a NUL byte cannot be given to a program")
	}
	var words []string
	for rest := strings.TrimLeft(text, blanks); rest != ""; rest = strings.TrimLeft(rest, blanks) {
		var w string
		var err error
		w, rest, err = cutWord(rest)
		if err != nil {
			return nil, err
		}
		words = append(words, w)
	}
	return words, nil
}

// splitCommand returns the words of a command, the first of which is not empty.
func splitCommand(command string) ([]string, error) {
	words, err := SplitWords(command)
	if err == nil && (len(words) == 0 || words[0] == "") {
		err = errNoCommand
	}
	return words, err
}

const (
	blanks    = " \t\r\n"
	operators = "|&;<>()`$"
)

// cutWord takes the first word of text, which begins with it.
func cutWord(text string) (word, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case strings.IndexByte(blanks, c) >= 0:
			return b.String(), text[i:], nil
		case strings.IndexByte(operators, c) >= 0:
			return "", "", fmt.Errorf("%q means something to a shell only: quote it, or run one: /bin/sh -c '…'", c)
		case c == '\'', c == '"':
			n, err := quoted(&b, text[i:])
			if err != nil {
				return "", "", err
			}
			i += n
		case c == '\\':
			if i+1 == len(text) {
				return "", "", errors.New(`a \ at the end quotes nothing`)
			}
			b.WriteByte(text[i+1])
			i += 2
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String(), "", nil
}

// quoted adds what text, which begins with a quote, has up to the next one, and
// returns the number of bytes with both quotes.
func quoted(b *strings.Builder, text string) (int, error) {
	quote := text[0]
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == quote:
			return i + 1, nil
		case c == '\\' && quote == '"' && i+1 < len(text) && (text[i+1] == '"' || text[i+1] == '\\'):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return 0, fmt.Errorf("the quote %c is not closed", quote)
}
