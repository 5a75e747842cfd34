package socket

import (
	"errors"
	"io"
	"testing"
	"time"

	"relayd/lifetime"
)

// long is more than a test may take.
const long = 10 * patience

func TestWait(t *testing.T) {
	for name, text := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			s, peer := connect(t, text, lifetime.Refcount)
			r, w := halves(t, s)
			defer drop(t, r.Drop, w.Drop, s.dropOnly)

			for range 2 {
				if r.Wait(time.Millisecond) {
					t.Error("Wait of a silent connection is true")
				}
			}
			if _, err := peer.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 10)
			for range 2 {
				if !r.Wait(long) {
					t.Error("Wait is false with a byte at hand")
				}
			}
			if n, err := r.Read(buf); n != 1 || err != nil {
				t.Fatalf("Read: %d, %v", n, err)
			}
			// The bound was for Wait only.
			if r.Wait(time.Millisecond) {
				t.Error("Wait is true after all was read")
			}
			read := blockedRead(t, r)
			if _, err := peer.Write([]byte("y")); err != nil {
				t.Fatal(err)
			}
			if err := told(t, read); err != nil {
				t.Errorf("a Read after a Wait that was in vain: %v", err)
			}
			peer.CloseWrite()
			if !r.Wait(long) {
				t.Error("Wait is false at the end")
			}
			if _, err := r.Read(buf); err != io.EOF {
				t.Errorf("Read at the end: %v", err)
			}
			peer.Close()
		})
	}
}

// Whoever waits is woken by bytes, and by our own end.
func TestWaitIsWoken(t *testing.T) {
	for name, text := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			s, peer := connect(t, text, lifetime.Refcount)
			r, w := halves(t, s)
			woken := make(chan bool, 1)
			waits := func() {
				go func() { woken <- r.Wait(long) }()
				blocked(t, r.Resource())
			}
			answer := func(of string) {
				t.Helper()
				timer := time.NewTimer(patience)
				defer timer.Stop()
				select {
				case ok := <-woken:
					if !ok {
						t.Errorf("woken by %s: Wait is false", of)
					}
				case <-timer.C:
					t.Fatalf("%s does not wake it", of)
				}
			}
			waits()
			if _, err := peer.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			answer("a byte")
			if _, err := r.Read(make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			waits()
			drop(t, r.Drop)
			answer("a drop")
			if _, err := r.Read(make([]byte, 10)); !errors.Is(err, lifetime.ErrDropped) {
				t.Errorf("Read after the drop: %v", err)
			}
			if !r.Wait(long) {
				t.Error("Wait of a dropped half is false")
			}
			drop(t, w.Drop, s.dropOnly)
			peer.Close()
		})
	}
}

// A kind that cannot tell says that a Read is to be tried.
func TestWaitOfMemory(t *testing.T) {
	s, err := Dial(t.Context(), address(t, "echo:"), At{})
	if err != nil {
		t.Fatal(err)
	}
	r, w := halves(t, s)
	if !r.Wait(long) {
		t.Error("Wait is false")
	}
	drop(t, w.Drop, r.Drop, s.dropOnly)
}
