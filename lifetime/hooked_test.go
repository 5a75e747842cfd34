package lifetime_test

import (
	"context"
	"testing"
	"time"

	"relayd/lifetime"
)

// A hooked resource does in its hooks whatever one test wants.
type hooked struct {
	lifetime.Node
	onInterrupt func(error)
	onOwed      func() bool
	onDrain     func(context.Context) error
	onRelease   func()
}

// Kinds of hooked resources, with the default bound of a drain, with another,
// and with none; the last one has nothing but a name.
var (
	hookedKind = lifetime.NewKind(hookedHooks("hooked", 0))
	fiveKind   = lifetime.NewKind(hookedHooks("five", 5*time.Second))
	endless    = lifetime.NewKind(hookedHooks("endless", -1))
	bareKind   = lifetime.NewKind(lifetime.Hooks[hooked]{Name: "bare"})
)

func hookedHooks(name string, drain time.Duration) lifetime.Hooks[hooked] {
	return lifetime.Hooks[hooked]{
		Name:         name,
		DrainTimeout: drain,
		Interrupt: func(h *hooked, cause error) {
			if h.onInterrupt != nil {
				h.onInterrupt(cause)
			}
		},
		Owed: func(h *hooked) bool {
			if h.onOwed != nil {
				return h.onOwed()
			}
			return h.onDrain != nil
		},
		Drain: func(h *hooked, ctx context.Context) error {
			if h.onDrain == nil {
				return nil
			}
			return h.onDrain(ctx)
		},
		Release: func(h *hooked) {
			if h.onRelease != nil {
				h.onRelease()
			}
		},
	}
}

// put puts h into the tree.
func (h *hooked) put(tb testing.TB, kind lifetime.Kind[hooked], parent *lifetime.Node, p lifetime.Policy) {
	tb.Helper()
	if err := kind.Init(h, parent, p); err != nil {
		tb.Fatal(err)
	}
}

// isDone reports whether n's Done is closed.
func isDone(n *lifetime.Node) bool {
	select {
	case <-n.Done():
		return true
	default:
		return false
	}
}
