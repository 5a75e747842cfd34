package screen

import (
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// A Palette is what to write before text of a kind, and Off after it. The zero
// Palette writes nothing.
type Palette struct{ Up, Down, Title, Faint, Warn, Off string }

// The palettes. Those 256 colours have shades that can be read on a light and on
// a dark background; of eight colours few can.
var (
	shades = Palette{Up: "\x1b[38;5;32m", Down: "\x1b[38;5;166m", Title: "\x1b[1m", Faint: "\x1b[38;5;244m", Warn: "\x1b[38;5;160m", Off: "\x1b[m"}
	basic  = Palette{Up: "\x1b[36m", Down: "\x1b[35m", Title: "\x1b[1m", Warn: "\x1b[31m", Off: "\x1b[m"}
)

// PaletteFor returns the one for w: none if it is no terminal, or its user wants
// no colours.
func PaletteFor(w io.Writer) Palette {
	if !IsTerminal(w) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return Palette{}
	}
	return environmentPalette()
}

// environmentPalette is the one that the environment says the terminal can show.
func environmentPalette() Palette {
	if strings.Contains(os.Getenv("TERM"), "256color") || os.Getenv("COLORTERM") != "" {
		return shades
	}
	return basic
}

// IsTerminal reports whether a reader or writer is a terminal.
func IsTerminal(rw any) bool {
	f, ok := rw.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Width returns how many columns a terminal has, 80 if that is not known.
func Width(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			return n
		}
	}
	return 80
}

// ShowsUnicode reports whether the user's terminal shows more than ASCII, by what
// the locale says.
func ShowsUnicode() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			v = strings.ToLower(v)
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}
