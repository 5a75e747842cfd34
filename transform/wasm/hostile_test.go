package wasm

// Modules that do not do what a filter should, and what they cannot do.

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"relayd/tests/leak"
	"relayd/transform"
)

// Nothing is there that was not granted.
func TestGrants(t *testing.T) {
	t.Setenv("SECRET", "secret")
	g := run(t, "env=SECRET env=A env=B open=/etc/passwd open=guest.wasm open=.", `,env=A=1 B='2 3'`)
	if err := g.ends(t, "(none)\n1\n2 3\nclosed\nclosed\nclosed\n"); err != nil {
		t.Error(err)
	}
}

func TestMemoryLimit(t *testing.T) {
	for memory, want := range map[string]string{"16MiB": "few\n", "128MiB": "many\n"} {
		g := run(t, "grow", ",memory="+memory)
		if err := g.ends(t, want); err != nil {
			t.Error(err)
		}
	}
}

// A failing source wakes a Read that waits for a silent module, and the module
// does not take it for an end.
func TestSourceFails(t *testing.T) {
	failed := errors.New("failed")
	for _, args := range []string{"copy exit=0", "copy cry=over spin"} {
		g := run(t, args, "")
		g.src.give("abc")
		g.src.end(failed)
		if err := g.ends(t, "abc"); err != failed {
			t.Errorf("%s: got %v, want %v", args, err, failed)
		}
		if log := g.log.String(); !strings.Contains(log, "read failed") {
			t.Errorf("%s: the log is %q", args, log)
		}
	}
	g := run(t, "say=ready spin", "")
	g.says(t, "ready")
	g.src.end(failed)
	if err := g.ends(t, ""); err != failed {
		t.Errorf("a spinning module: got %v, want %v", err, failed)
	}
}

// Whatever a module does, a cut and a Close end it.
func TestKilled(t *testing.T) {
	for _, args := range []string{"spin", "sleep=1000", "copy", "yes", "deep deep spin", "flood spin"} {
		g := run(t, "say=ready "+args, "")
		g.says(t, "ready")
		g.src.give(strings.Repeat("x", 1<<20))
		cut := time.AfterFunc(20*time.Millisecond, g.site.Cut)
		defer cut.Stop()
		if _, err := io.Copy(io.Discard, g); !errors.Is(err, net.ErrClosed) && args != "deep deep spin" {
			t.Errorf("%s: cut: got %v", args, err)
		}

		g = run(t, "say=ready "+args, "")
		g.says(t, "ready")
		g.src.give(strings.Repeat("x", 1<<20))
		g.src.end(net.ErrClosed)
		if err := g.close(); err != nil {
			t.Errorf("%s: close: %v", args, err)
		}
	}
}

// A trusted module is ended where it reads or writes.
func TestTrusted(t *testing.T) {
	for _, args := range []string{"copy", "yes", "sleep=1000 copy"} {
		g := run(t, "say=ready "+args, ",trusted=true")
		g.says(t, "ready")
		g.site.Cut()
		if _, err := io.Copy(io.Discard, g); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: got %v", args, err)
		}
	}
}

// Standard error comes by lines, and is not kept.
func TestFlood(t *testing.T) {
	var last string
	n, long := 0, 0
	l := lines{say: func(line string) { last = line; n++; long = max(long, len(line)) }}
	for i := range 100_000 {
		fmt.Fprintf(&l, "some words without an end %d", i)
	}
	fmt.Fprint(&l, "\na\nb\n\nc")
	if n != 4 || long != maxLine || last != "" || cap(l.part) > 2*maxLine {
		t.Errorf("%d lines, the longest of %d bytes, the last %q; %d bytes kept", n, long, last, cap(l.part))
	}
	l.end()
	if n != 5 || last != "c" {
		t.Errorf("%d lines, the last %q", n, last)
	}
	g := run(t, "flood say=done", "")
	if err := g.ends(t, "done\n"); err != nil {
		t.Error(err)
	}
}

// However far it got, a stage that ends leaves nothing behind.
func TestKilledAtAnyMoment(t *testing.T) {
	leak.Check(t)
	random := rand.New(rand.NewPCG(5, 6))
	for i := range 60 {
		args := []string{"copy", "copy=1000 spin", "sleep=1000 copy"}[i%3]
		src, site := newSource(), &transform.Site{}
		r, close := transform.Chain{parse(t, "wasm:testdata/guest.wasm,args="+args)}.OpenAt(src, site)
		src.give(strings.Repeat("x", random.IntN(200_000)+1))
		timer := time.AfterFunc(time.Duration(random.IntN(4_000_000)), func() {
			if i%3 > 0 || i%2 == 0 {
				site.Cut()
			}
			src.end(errors.New("failed"))
		})
		if _, err := io.Copy(io.Discard, r); err == nil {
			t.Errorf("%s: a clean end", args)
		}
		timer.Stop()
		src.end(net.ErrClosed)
		if err := close(); err != nil {
			t.Error(err)
		}
	}
}
