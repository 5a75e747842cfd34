package top

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"

	"relayd/cmd/relayd/internal/screen"
)

// Below this there is no table, only a word.
const (
	leastWidth  = 20
	leastHeight = 5
	roomy       = 10 // lines, from which on the selected conn is described
)

// View draws the screen.
func (m *model) View() tea.View {
	v := tea.NewView(m.draw())
	v.AltScreen = true
	return v
}

// draw returns the screen, no line wider and no more lines than there is room.
func (m *model) draw() string {
	if m.width < leastWidth || m.height < leastHeight {
		return fit("too small: q quits", m.width)
	}
	if m.mode == reading {
		return m.drawKeys()
	}
	list, widths := fitting(m.width - 1)
	lines := []string{m.drawTitle(), m.drawStatus(), m.drawHead(list, widths)}
	lines = append(lines, m.drawRows(list, widths)...)
	if m.height >= roomy {
		lines = append(lines, m.drawSelected()...)
	}
	return strings.Join(append(lines, m.look.Faint+fit(shortKeys, m.width)+m.off(m.look.Faint)), "\n")
}

const shortKeys = "q quit   / filter   k kill   < > sort   r reverse   ? all keys"

// off ends a colour, if it began.
func (m *model) off(colour string) string {
	if colour == "" {
		return ""
	}
	return m.look.Off
}

func (m *model) in(colour, s string) string { return colour + s + m.off(colour) }

// drawTitle sums up.
func (m *model) drawTitle() string {
	var up, down float64
	for _, r := range m.all {
		up, down = up+r.upRate, down+r.downRate
	}
	left := fmt.Sprintf("relayd: %d conns, up %s/s, down %s/s", len(m.all), size(up), size(down))
	right := m.name
	if !m.at.IsZero() {
		right += "  " + m.at.Local().Format("15:04:05")
	}
	space := m.width - len(left) - len(right)
	if space < 2 {
		return m.in(m.look.Title, fit(left, m.width))
	}
	return m.in(m.look.Title, left) + strings.Repeat(" ", space) + right
}

// drawStatus says what needs to be said: what is asked, what is wrong, what has
// happened, or what is left out.
func (m *model) drawStatus() string {
	switch {
	case m.mode == confirming:
		i := m.index()
		if i < 0 || m.selected != m.doomed {
			return m.in(m.look.Warn, fit("the conn has ended: press any key", m.width))
		}
		return m.in(m.look.Warn, fit(fmt.Sprintf("reset %s, both sides of %s? y: yes, any other key: no",
			screen.ASCII(m.selected), screen.ASCII(m.shown[i].Client)), m.width))
	case m.mode == filtering:
		return fit(fmt.Sprintf("filter: %s_   (%d of %d; enter keeps, esc clears)", screen.ASCII(m.filter), len(m.shown), len(m.all)), m.width)
	case m.err != nil:
		return m.in(m.look.Warn, fit("no answer since "+m.since.Local().Format("15:04:05")+": "+screen.ASCII(m.err.Error()), m.width))
	case m.note != "":
		colour := m.look.Title
		if m.bad {
			colour = m.look.Warn
		}
		return m.in(colour, fit(screen.ASCII(m.note), m.width))
	case m.filter != "":
		return fit(fmt.Sprintf("filter: %s   (%d of %d; esc clears)", screen.ASCII(m.filter), len(m.shown), len(m.all)), m.width)
	case m.at.IsZero():
		return "asking ..."
	}
	return ""
}

// drawHead names the columns, with a mark at the one that is sorted by.
func (m *model) drawHead(list []column, widths []int) string {
	return m.in(m.look.Title, " "+line(list, widths, func(c column) string {
		switch {
		case c.key != m.order.by:
			return c.title
		case m.order.down():
			return c.title + "v"
		}
		return c.title + "^"
	}))
}

// room is how many rows there is room for.
func (m *model) room() int {
	n := m.height - 4 // title, status, head, keys
	if m.height >= roomy {
		n -= 3
	}
	return n
}

// drawRows draws the part of the table with the selected row in it, and fills up
// with empty lines.
func (m *model) drawRows(list []column, widths []int) []string {
	room, at := m.room(), max(0, m.index())
	m.first = max(0, min(m.first, at, len(m.shown)-room))
	m.first = max(m.first, at-room+1)
	lines := make([]string, room)
	if len(m.shown) == 0 && m.err == nil && !m.at.IsZero() {
		lines[0] = " no conns"
		if m.filter != "" {
			lines[0] = " no conns that match"
		}
	}
	for i := range lines {
		n := m.first + i
		if n >= len(m.shown) {
			break
		}
		r := &m.shown[n]
		text := line(list, widths, func(c column) string { return screen.ASCII(c.text(r)) })
		switch {
		case r.ID == m.selected:
			lines[i] = reverse + ">" + text + strings.Repeat(" ", max(0, m.width-1-len(text))) + "\x1b[m"
		case m.err != nil:
			lines[i] = m.in(m.look.Faint, " "+text)
		default:
			lines[i] = m.in(m.stateColour(r), " "+text)
		}
	}
	return lines
}

// reverse shows the selected row without colours, too.
const reverse = "\x1b[7m"

func (m *model) stateColour(r *row) string {
	switch r.State {
	case "open":
		return ""
	case "closing":
		return m.look.Warn
	}
	return m.look.Down
}

// drawSelected describes the selected conn: who it is of, and who holds it.
func (m *model) drawSelected() []string {
	lines := make([]string, 3)
	i := m.index()
	if i < 0 {
		return lines
	}
	r := &m.shown[i]
	what := fmt.Sprintf("%s: %s -> %s -> %s", r.ID, r.Client, r.Listener, r.Upstream)
	if r.Stages != "" {
		what += ", stages " + r.Stages
	}
	lines[1] = fit(screen.ASCII(what), m.width)
	if m.held == m.selected && len(m.holders) > 0 {
		lines[2] = fit(screen.ASCII("held by "+strings.Join(m.holders, ", ")), m.width)
	}
	return lines
}

// drawKeys explains the keys.
func (m *model) drawKeys() string {
	lines := []string{
		m.in(m.look.Title, "Keys"),
		"q, ctrl+c    quit",
		"up, down     select; also page up, page down, home, end",
		"/            filter: words that id, addresses, state or stages contain",
		"esc          show all again",
		"k            kill the selected conn, after a question",
		"< >          sort by the column on the left, on the right",
		"r            reverse the order",
	}
	const sorts = "sort by:     "
	lines = append(lines, sorts)
	for i, c := range columns {
		last := &lines[len(lines)-1]
		key := fmt.Sprintf("%s %s  ", c.key, c.title)
		if i > 0 && len(*last)+len(key) > m.width {
			lines = append(lines, strings.Repeat(" ", len(sorts)))
			last = &lines[len(lines)-1]
		}
		*last += key
	}
	lines = append(lines, "", "any key goes back")
	if len(lines) > m.height {
		lines = lines[:m.height]
	}
	for i := 1; i < len(lines); i++ {
		lines[i] = fit(lines[i], m.width)
	}
	return strings.Join(lines, "\n")
}
