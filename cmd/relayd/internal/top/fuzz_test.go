package top

import (
	"errors"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
)

// FuzzTop gives top conns, errors and keys of anybody's. Whatever they are, the
// screen has no more lines and columns than there are, and only what prints.
func FuzzTop(f *testing.F) {
	f.Add("9x2k\x0010.0.0.7:5\x00gzip,count", "/abc\x00kyrd>>", uint8(80), uint8(24), int64(5000))
	f.Add("\x1b[2J\x00\u202e\x00\u009b31m\xff", "jk/\x1b[\n?", uint8(30), uint8(12), int64(-1))
	f.Add("世界\x00😀\x00", "k", uint8(20), uint8(5), int64(1)<<62)
	f.Add(strings.Repeat("x", 300), "<<<<rr", uint8(255), uint8(255), int64(0))
	f.Fuzz(func(t *testing.T, texts, keysPressed string, width, height uint8, n int64) {
		parts := append(strings.Split(texts, "\x00"), "", "", "")
		conn := Conn{ID: parts[0], Client: parts[1], Upstream: parts[2], Listener: parts[0], State: parts[1], Stages: parts[2], Up: n, Down: -n, Age: time.Duration(n), Idle: time.Duration(-n)}
		u := newUser(t, conn, Conn{ID: "b", Up: 1}, conn)
		u.src.holders = parts
		u.m.Update(tea.WindowSizeMsg{Width: int(width), Height: int(height)})
		u.src.conns[0].Up = -n
		u.looks()
		u.m.Update(tea.PasteMsg{Content: texts})
		for i, r := range keysPressed {
			if i > 50 {
				break
			}
			u.runs(u.m.press(tea.KeyPressMsg{Code: r, Text: string(r)}))
			if i%7 == 3 {
				u.m.Update(tea.PasteMsg{Content: texts})
			}
			checkScreen(t, u.m)
		}
		if len(u.m.filter) > maxFilter {
			t.Errorf("the filter has %d bytes", len(u.m.filter))
		}
		u.src.err = errors.New(texts)
		u.looks()
		u.m.Update(killed{parts[0], parts[1], nil})
		checkScreen(t, u.m)
		u.m.Update(killed{parts[0], "", u.src.err})
		checkScreen(t, u.m)
	})
}

// checkScreen looks at what is drawn, but for the colours that are top's.
func checkScreen(t *testing.T, m *model) {
	t.Helper()
	lines := strings.Split(strings.NewReplacer(reverse, "", "\x1b[m", "").Replace(m.draw()), "\n")
	if len(lines) > max(1, m.height) {
		t.Fatalf("%d lines on a screen of %d", len(lines), m.height)
	}
	for _, line := range lines {
		if len(line) > m.width {
			t.Fatalf("a line of %d on a screen of %d: %q", len(line), m.width, line)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("a line is %q", line)
		}
	}
}
