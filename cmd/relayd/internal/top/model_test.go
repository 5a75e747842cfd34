package top

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"relayd/cmd/relayd/internal/screen"
)

// A fake is a relayd whose conns a test makes up.
type fake struct {
	conns   []Conn
	err     error
	killed  []string
	holders []string
}

func (f *fake) Conns(context.Context) ([]Conn, error) { return slices.Clone(f.conns), f.err }

func (f *fake) Holders(_ context.Context, id string) ([]string, error) { return f.holders, f.err }

func (f *fake) Kill(_ context.Context, id string) (string, error) {
	f.killed = append(f.killed, id)
	return "client gone, upstream gone, all released in 2ms", f.err
}

// A user looks at a model and presses keys. Commands run at once, but for the
// one that waits for the next look.
type user struct {
	t   *testing.T
	m   *model
	src *fake
	at  time.Time
}

func newUser(t *testing.T, conns ...Conn) *user {
	t.Helper()
	local := time.Local
	time.Local = time.UTC
	t.Cleanup(func() { time.Local = local })
	src := &fake{conns: conns, holders: []string{"client (2m)", "upstream (2m)"}}
	u := &user{t: t, src: src, m: newModel(t.Context(), src, "unix:///run/relayd.sock", screen.Palette{}), at: time.Date(2026, 11, 23, 14, 3, 0, 0, time.UTC)}
	u.looks()
	return u
}

// looks is a second later, and the next look.
func (u *user) looks() {
	u.at = u.at.Add(time.Second)
	conns, err := u.src.Conns(u.t.Context())
	u.m.Update(looked{conns, u.at, err})
	u.runs(u.m.ask())
}

func (u *user) runs(cmd tea.Cmd) (quits bool) {
	if cmd == nil {
		return false
	}
	switch msg := cmd().(type) {
	case tea.QuitMsg:
		return true
	default:
		u.m.Update(msg)
		return false
	}
}

// keys are those with names.
var keys = map[string]tea.KeyPressMsg{
	"up": {Code: tea.KeyUp}, "down": {Code: tea.KeyDown}, "pgup": {Code: tea.KeyPgUp}, "pgdown": {Code: tea.KeyPgDown},
	"home": {Code: tea.KeyHome}, "end": {Code: tea.KeyEnd}, "enter": {Code: tea.KeyEnter}, "esc": {Code: tea.KeyEscape},
	"backspace": {Code: tea.KeyBackspace}, "left": {Code: tea.KeyLeft}, "right": {Code: tea.KeyRight}, "ctrl+c": {Code: 'c', Mod: tea.ModCtrl},
	"ctrl+u": {Code: 'u', Mod: tea.ModCtrl},
}

// presses presses keys, and reports whether the last one has quit.
func (u *user) presses(names ...string) (quits bool) {
	for _, name := range names {
		key, ok := keys[name]
		if !ok {
			key = tea.KeyPressMsg{Code: rune(name[0]), Text: name}
		}
		_, cmd := u.m.Update(key)
		quits = u.runs(cmd)
	}
	return quits
}

func (u *user) types(text string) {
	for _, r := range text {
		u.m.Update(tea.KeyPressMsg{Code: r, Text: string(r)})
	}
}

func (u *user) resizes(width, height int) {
	u.m.Update(tea.WindowSizeMsg{Width: width, Height: height})
}

// sees returns the screen, which must fit.
func (u *user) sees() []string {
	u.t.Helper()
	lines := strings.Split(u.m.draw(), "\n")
	if len(lines) > max(1, u.m.height) {
		u.t.Errorf("%d lines on a screen of %d", len(lines), u.m.height)
	}
	for i, l := range lines {
		lines[i] = strings.NewReplacer(reverse, "", "\x1b[m", "").Replace(l)
		if n := utf8.RuneCountInString(lines[i]); n > u.m.width {
			u.t.Errorf("line %d has %d columns of %d: %q", i, n, u.m.width, lines[i])
		}
	}
	return lines
}

// wants wants text somewhere on the screen.
func (u *user) wants(texts ...string) {
	u.t.Helper()
	all := strings.Join(u.sees(), "\n")
	for _, text := range texts {
		if !strings.Contains(all, text) {
			u.t.Errorf("no %q on the screen:\n%s", text, all)
		}
	}
}

// ids returns those of the rows on the screen, from above, with a > before the
// selected one.
func (u *user) ids() string {
	u.t.Helper()
	var ids []string
	for _, l := range u.sees()[3 : 3+u.m.room()] {
		if f := strings.Fields(strings.Replace(l, ">", "> ", 1)); len(f) > 1 {
			if f[0] == ">" {
				f[0] = ">" + f[1]
			}
			ids = append(ids, f[0])
		}
	}
	return strings.Join(ids, " ")
}

func (u *user) wantIDs(want string) {
	u.t.Helper()
	if got := u.ids(); got != want {
		u.t.Errorf("the rows are %s, want %s", got, want)
	}
}

// some are conns that differ in everything.
func some() []Conn {
	return []Conn{
		{ID: "aa", Listener: "127.0.0.1:7000", Client: "10.0.0.7:41402", Upstream: "10.0.0.5:80", State: "open", Up: 100, Down: 5000, Age: time.Hour, Idle: 0},
		{ID: "bb", Listener: "127.0.0.1:7000", Client: "10.0.0.8:41403", Upstream: "10.0.0.5:80", State: "half-closed", Up: 300, Down: 100, Age: time.Minute, Idle: 30 * time.Second},
		{ID: "cc", Listener: "[::1]:7000", Client: "[fe80::1234:5678:9abc:def0%eth0]:65535", Upstream: "unix:///run/db.sock", State: "closing", Up: 200, Down: 300, Age: time.Second, Idle: time.Second},
	}
}

func TestSort(t *testing.T) {
	u := newUser(t, some()...)
	u.src.conns[1].Down += 9000
	u.src.conns[0].Up += 77
	u.looks()
	u.wantIDs("bb >aa cc") // by what goes down now, and by id; the selection was on aa
	for _, tt := range []struct{ key, want string }{
		{"d", ">aa cc bb"}, // again is the other way
		{"u", ">aa bb cc"},
		{"U", "bb cc >aa"},
		{"D", "bb >aa cc"},
		{"i", "bb cc >aa"},
		{"a", ">aa bb cc"},
		{"r", "cc bb >aa"},
		{"t", "cc bb >aa"},
		{"n", ">aa bb cc"},
		{"right", ">aa bb cc"}, // the client
		{">", ">aa bb cc"},     // the upstream
		{"<", ">aa bb cc"},
	} {
		u.presses(tt.key)
		if got := u.ids(); got != tt.want {
			t.Errorf("after %s the rows are %s, want %s", tt.key, got, tt.want)
		}
	}
}

// Rates are what has moved since the last look; a conn that is new is measured by
// its age, and one that was there before us not at all.
func TestRates(t *testing.T) {
	u := newUser(t, some()...)
	u.wants("3 conns, up 0/s, down 0/s")
	u.src.conns[0].Up += 2048
	u.src.conns = append(u.src.conns, Conn{ID: "dd", State: "open", Down: 5 << 20, Age: 500 * time.Millisecond},
		Conn{ID: "ee", State: "open", Down: 5 << 20, Age: time.Hour})
	u.looks()
	u.wants("5 conns, up 2.0K/s, down 10M/s")
	u.looks()
	u.wants("up 0/s, down 0/s")
	u.src.conns = nil
	u.looks()
	u.wants("0 conns", "no conns")
}

func TestSelection(t *testing.T) {
	var conns []Conn
	for i := range 50 {
		conns = append(conns, Conn{ID: fmt.Sprintf("c%02d", i), State: "open", Client: "x"})
	}
	u := newUser(t, conns...)
	u.presses("n")
	u.presses("home", "down", "down", "up")
	if u.m.selected != "c01" {
		t.Errorf("selected is %s", u.m.selected)
	}
	u.presses("end")
	if ids := u.ids(); !strings.HasSuffix(ids, ">c49") {
		t.Errorf("at the end the rows are %s", ids)
	}
	u.presses("pgup")
	u.presses("down", "home", "up")
	if ids := u.ids(); !strings.HasPrefix(ids, ">c00 c01") {
		t.Errorf("at the beginning the rows are %s", ids)
	}
	// The selection stays on its conn, and goes to a neighbour when it ends.
	u.presses("down", "down")
	u.src.conns = u.src.conns[1:]
	u.looks()
	if u.m.selected != "c02" {
		t.Errorf("selected is %s", u.m.selected)
	}
	u.src.conns = slices.Delete(u.src.conns, 1, 2)
	u.looks()
	if u.m.selected != "c03" {
		t.Errorf("after its end selected is %s", u.m.selected)
	}
	u.wants("c03: x -> ", "held by client (2m), upstream (2m)")
	u.resizes(80, 6)
	u.presses("end")
	u.wantIDs("c48 >c49")
}

func TestFilter(t *testing.T) {
	u := newUser(t, some()...)
	u.presses("n", "/")
	u.types("10.0 CLOSED")
	u.wantIDs(">bb")
	u.wants("filter: 10.0 CLOSED_   (1 of 3")
	u.presses("backspace", "ctrl+u")
	u.types("db.sock")
	u.wantIDs(">cc")
	u.types("q") // a letter, not a command
	u.wants("no conns that match", "filter: db.sockq_")
	u.presses("backspace", "enter")
	u.wants("filter: db.sock   (1 of 3; esc clears)")
	u.looks()
	u.wantIDs(">cc")
	u.presses("esc")
	u.wantIDs("aa bb >cc")
	u.presses("/")
	u.types("\x1b[31m\u202e")
	u.wants(`filter: \x1b[31m\u202e_`)
	u.m.Update(tea.PasteMsg{Content: strings.Repeat("x", 10000)})
	u.presses("esc")
	u.wantIDs("aa bb >cc")
}

func TestKill(t *testing.T) {
	u := newUser(t, some()...)
	u.presses("n", "home", "down", "k")
	u.wants("reset bb, both sides of 10.0.0.8:41403?")
	u.presses("n")
	if len(u.src.killed) > 0 {
		t.Fatal("killed without a yes")
	}
	u.presses("k")
	u.src.conns = slices.Delete(u.src.conns, 1, 2) // it ends by itself: its neighbour is not meant
	u.looks()
	u.presses("y")
	if len(u.src.killed) > 0 {
		t.Fatalf("killed %v, which was not asked about", u.src.killed)
	}
	u.presses("home", "k", "y")
	if !slices.Equal(u.src.killed, []string{"aa"}) {
		t.Errorf("killed %v", u.src.killed)
	}
	u.wants("killed aa: client gone, upstream gone, all released in 2ms")
	u.src.err = errors.New("no such conn\x1b[2J")
	u.presses("k", "y")
	u.wants(`kill aa: no such conn\x1b[2J`)
	u.src.err = nil
	u.presses("esc")
	u.src.conns = nil
	u.looks()
	u.presses("k", "y") // there is nothing to kill
	if len(u.src.killed) != 2 {
		t.Errorf("killed %v", u.src.killed)
	}
}

// When the relayd is gone, top says so, keeps what it knew, and goes on when it is
// back.
func TestSourceGone(t *testing.T) {
	u := newUser(t, some()...)
	u.src.err = errors.New("dial unix /run/relayd.sock: connection refused")
	u.looks()
	u.looks()
	u.wants("no answer since 14:03:02: dial unix /run/relayd.sock: connection refused", "aa", "bb")
	u.src.err = nil
	u.src.conns = []Conn{{ID: "new", State: "open", Up: 1 << 30, Age: time.Hour}}
	u.looks()
	u.wantIDs(">new")
	u.wants("1 conns, up 0/s")
	if strings.Contains(strings.Join(u.sees(), "\n"), "no answer") {
		t.Error("it still says that there is no answer")
	}
}

// A source that answers nothing at first is not taken for an empty one.
func TestSourceNotThere(t *testing.T) {
	src := &fake{err: errors.New("no such file")}
	m := newModel(t.Context(), src, "x", screen.Palette{})
	if s := m.draw(); !strings.Contains(s, "asking") {
		t.Errorf("before the first answer:\n%s", s)
	}
	m.Update(m.Init()())
	if s := m.draw(); !strings.Contains(s, "no such file") || strings.Contains(s, "no conns") {
		t.Errorf("without an answer:\n%s", s)
	}
}

func TestQuit(t *testing.T) {
	u := newUser(t, some()...)
	for _, keys := range [][]string{{"q"}, {"ctrl+c"}, {"/", "ctrl+c"}, {"esc", "k", "ctrl+c"}, {"esc", "?", "ctrl+c"}} {
		if !u.presses(keys...) {
			t.Errorf("%v does not quit", keys)
		}
	}
	if u.presses("esc", "/", "q") || u.presses("esc", "?", "q") {
		t.Error("a q that is no command quits")
	}
}

// Every size of terminal shows what fits, in every mode.
func TestSizes(t *testing.T) {
	u := newUser(t, some()...)
	for _, mode := range []string{"esc", "/", "k", "?"} {
		u.presses("esc", "esc", mode)
		for width := range 140 {
			for _, height := range []int{0, 1, 2, 4, 5, 6, 9, 10, 11, 24, 60} {
				u.resizes(width, height)
				u.sees()
			}
		}
	}
}

// The colours of every look are taken back before the end of their line.
func TestColours(t *testing.T) {
	u := newUser(t, some()...)
	u.m.look = screen.Palette{Up: "\x1b[1m", Down: "\x1b[2m", Title: "\x1b[3m", Faint: "\x1b[4m", Warn: "\x1b[5m", Off: "\x1b[m"}
	for _, mode := range []string{"esc", "/", "k", "?"} {
		u.presses("esc", "esc", mode)
		for l := range strings.Lines(u.m.draw()) {
			if i := strings.LastIndex(l, "\x1b["); i >= 0 && !strings.HasPrefix(l[i:], "\x1b[m") {
				t.Errorf("a colour goes on at the end of %q", l)
			}
		}
	}
}

func TestFormat(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 0.4: "0", 999: "999", 1000: "1.0K", 1 << 10: "1.0K", 10 << 10: "10K", 1000 << 10: "1.0M",
		1 << 20: "1.0M", 123 << 20: "123M", 1 << 30: "1.0G", 1 << 60: "1.0E"} {
		if got := size(n); got != want {
			t.Errorf("size(%v) is %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", 999 * time.Millisecond: "0s", 99 * time.Second: "99s", 100 * time.Second: "1m",
		99 * time.Minute: "99m", 100 * time.Minute: "1h", 99 * time.Hour: "99h", 100 * time.Hour: "4d", 1e4 * time.Hour: "416d"} {
		if got := span(d); got != want {
			t.Errorf("span(%v) is %s, want %s", d, got, want)
		}
	}
}

// The screen as it is at 80 columns.
func TestScreen(t *testing.T) {
	u := newUser(t, some()...)
	u.src.conns[0].Down += 12 << 20
	u.looks()
	t.Log("\n" + strings.Join(u.sees(), "\n"))
	u.presses("?")
	t.Log("\n" + strings.Join(u.sees(), "\n"))
}
