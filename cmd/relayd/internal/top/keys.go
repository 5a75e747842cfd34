package top

import (
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
)

// press does what a key asks for.
func (m *model) press(key tea.KeyPressMsg) tea.Cmd {
	name := key.String()
	if name == "ctrl+c" {
		return tea.Quit
	}
	switch m.mode {
	case filtering:
		m.edit(name, key.Text)
		return nil
	case confirming:
		m.mode = browsing
		if m.note = ""; name == "y" && m.index() >= 0 && m.selected == m.doomed {
			m.note, m.bad = "killing "+m.selected+" ...", false
			return m.kill(m.selected)
		}
		return nil
	case reading:
		m.mode = browsing
		return nil
	}
	return m.command(name)
}

// command is press over the table.
func (m *model) command(name string) tea.Cmd {
	switch name {
	case "q":
		return tea.Quit
	case "?", "h":
		m.mode = reading
	case "/", "f":
		m.mode = filtering
	case "esc":
		m.filter, m.note = "", ""
		m.sift()
	case "k", "delete":
		if m.index() >= 0 {
			m.mode, m.doomed = confirming, m.selected
		}
	case "r":
		m.order.reversed = !m.order.reversed
		m.sift()
	case "<", "left":
		m.sortBy(m.order.next(-1))
	case ">", "right":
		m.sortBy(m.order.next(1))
	default:
		return m.movement(name)
	}
	return nil
}

// movement is command for keys that move the selection, or sort.
func (m *model) movement(name string) tea.Cmd {
	at, page := max(0, m.index()), max(1, m.room())
	switch name {
	case "up":
		at--
	case "down":
		at++
	case "pgup":
		at -= page
	case "pgdown":
		at += page
	case "home":
		at = 0
	case "end":
		at = len(m.shown) - 1
	default:
		for _, c := range columns {
			if c.key == name {
				m.sortBy(name)
			}
		}
		return nil
	}
	before := m.selected
	if m.choose(max(0, at)); m.selected == before {
		return nil
	}
	return m.ask()
}

// sortBy sorts by a column; by the same again, the other way.
func (m *model) sortBy(key string) {
	m.order = order{key, m.order.by == key && !m.order.reversed}
	m.sift()
}

// maxFilter bounds what is typed.
const maxFilter = 200

// edit edits the filter, which applies at once.
func (m *model) edit(name, text string) {
	switch name {
	case "enter":
		m.mode = browsing
		return
	case "esc":
		m.mode, m.filter = browsing, ""
	case "ctrl+u":
		m.filter = ""
	case "backspace":
		_, n := utf8.DecodeLastRuneInString(m.filter)
		m.filter = m.filter[:len(m.filter)-n]
	default:
		if len(m.filter)+len(text) <= maxFilter {
			m.filter += text
		}
	}
	m.sift()
}
