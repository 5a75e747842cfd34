package top

import (
	"context"
	"errors"
	"io"

	tea "charm.land/bubbletea/v2"

	"relayd/cmd/relayd/internal/screen"
)

// ErrNoTerminal is that there is none to show the table on, or to read keys from.
var ErrNoTerminal = errors.New("top needs a terminal as its input and output")

// Run shows the conns of a source, which goes by a name, until its user quits,
// which is nil, or ctx ends.
func Run(ctx context.Context, src Source, name string, in io.Reader, out io.Writer) error {
	if !screen.IsTerminal(in) || !screen.IsTerminal(out) {
		return ErrNoTerminal
	}
	m := newModel(ctx, src, name, screen.PaletteFor(out))
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out)).Run()
	if errors.Is(err, tea.ErrInterrupted) {
		return nil
	}
	return err
}
