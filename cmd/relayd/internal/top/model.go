package top

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"relayd/cmd/relayd/internal/screen"
)

// A model is what top knows, and shows. It belongs to one goroutine.
type model struct {
	ctx   context.Context
	src   Source
	name  string // of the source
	every time.Duration
	look  screen.Palette

	width, height int

	conns []Conn // of the last look, to compare the next with
	all   []row
	shown []row // those that the filter lets through, in order
	at    time.Time
	err   error     // of the last look
	since time.Time // it fails

	order    order
	filter   string
	mode     mode
	selected string // the id of a row; if none is shown, of one that was
	doomed   string // the id that a kill was asked about
	first    int    // the first row on the screen
	note     string // what the last key came to
	bad      bool   // the note is of something that went wrong
	holders  []string
	held     string // the id that holders are of
}

// A mode is what keys mean.
type mode int

const (
	browsing mode = iota
	filtering
	confirming // a kill of the selected conn
	reading    // the list of keys
)

// Messages: what the source has said.
type (
	looked struct {
		conns []Conn
		at    time.Time
		err   error
	}
	heard struct {
		id    string
		names []string
	}
	killed struct {
		id, proof string
		err       error
	}
	again struct{}
)

// How long to wait for the source.
const (
	lookTime = 5 * time.Second
	killTime = 30 * time.Second
)

func newModel(ctx context.Context, src Source, name string, look screen.Palette) *model {
	return &model{ctx: ctx, src: src, name: screen.ASCII(name), every: time.Second, look: look,
		width: 80, height: 24, order: order{by: "d"}}
}

// Init looks for the first time.
func (m *model) Init() tea.Cmd { return m.lookNow }

func (m *model) lookNow() tea.Msg {
	ctx, stop := context.WithTimeout(m.ctx, lookTime)
	defer stop()
	conns, err := m.src.Conns(ctx)
	return looked{conns, time.Now(), err}
}

// ask asks who holds the selected conn.
func (m *model) ask() tea.Cmd {
	id := m.selected
	if m.index() < 0 {
		return nil
	}
	return func() tea.Msg {
		ctx, stop := context.WithTimeout(m.ctx, lookTime)
		defer stop()
		names, err := m.src.Holders(ctx, id)
		if err != nil {
			names = nil // it is gone, or the next look says what is wrong
		}
		return heard{id, names}
	}
}

// kill kills a conn.
func (m *model) kill(id string) tea.Cmd {
	return func() tea.Msg {
		ctx, stop := context.WithTimeout(m.ctx, killTime)
		defer stop()
		proof, err := m.src.Kill(ctx, id)
		return killed{id, proof, err}
	}
}

// Update takes what has happened.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case again:
		return m, m.lookNow
	case looked:
		m.take(msg)
		return m, tea.Batch(m.ask(), tea.Tick(m.every, func(time.Time) tea.Msg { return again{} }))
	case heard:
		m.held, m.holders = msg.id, msg.names
	case killed:
		m.tell(msg)
	case tea.PasteMsg:
		if m.mode == filtering {
			m.edit("", msg.Content)
		}
	case tea.KeyPressMsg:
		return m, m.press(msg)
	}
	return m, nil
}

// take takes what a look has brought. After one that failed the table stays.
func (m *model) take(l looked) {
	if l.err != nil {
		if m.err == nil {
			m.since = l.at
		}
		m.err = l.err
		return
	}
	before := m.conns
	if m.err != nil {
		before = nil // it may be another relayd
	}
	m.err = nil
	m.all = rows(l.conns, before, l.at.Sub(m.at))
	m.conns, m.at = l.conns, l.at
	if m.conns == nil {
		m.conns = []Conn{} // looked at, and empty
	}
	m.sift()
}

// tell notes what a kill has come to.
func (m *model) tell(k killed) {
	m.bad = k.err != nil
	if m.bad {
		m.note = fmt.Sprintf("kill %s: %v", k.id, k.err)
	} else {
		m.note = fmt.Sprintf("killed %s: %s", k.id, k.proof)
	}
}

// sift brings the rows into order, and keeps the selection on its conn, or where
// that was.
func (m *model) sift() {
	old := m.index()
	m.shown = slices.DeleteFunc(slices.Clone(m.all), func(r row) bool { return !r.matches(m.filter) })
	m.order.sort(m.shown)
	if m.index() < 0 {
		m.choose(max(0, old))
	}
}

// matches reports whether a filter lets the row through: each of its words is in
// one of the fields that say what the conn is.
func (r *row) matches(filter string) bool {
	text := strings.ToLower(strings.Join([]string{r.ID, r.Client, r.Upstream, r.Listener, r.State, r.Stages}, "\n"))
	for word := range strings.FieldsSeq(strings.ToLower(filter)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// index is where the selected conn is in the table, or -1.
func (m *model) index() int {
	return slices.IndexFunc(m.shown, func(r row) bool { return r.ID == m.selected })
}

// choose selects a row, as near as there is one.
func (m *model) choose(i int) {
	if len(m.shown) > 0 {
		m.selected = m.shown[max(0, min(i, len(m.shown)-1))].ID
	}
}
