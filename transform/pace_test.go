package transform_test

// The stages that let bytes wait, by the clock of a bubble.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"relayd/transform"
)

// took returns how long f takes, by the bubble's clock.
func took(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

// within wants a time to be right but for a hundredth.
func within(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if d := got - want; d < -want/100 || d > want/100 {
		t.Errorf("%s took %v, want %v", what, got, want)
	}
}

func TestLimitIsRight(t *testing.T) {
	in := sample(1 << 20)
	for _, test := range []struct {
		text string
		size int
		want time.Duration
	}{
		{"limit:100k/s,burst=24k", 32 << 10, 10 * time.Second},
		{"limit:100k/s,burst=24k", 100, 10 * time.Second},
		{"limit:64k/s,burst=512k", 32 << 10, 8 * time.Second},
		{"limit:1M/s", 32 << 10, 900 * time.Millisecond},
		{"limit:1M/s,scope=route", 1 << 10, 900 * time.Millisecond},
		{"limit:1T/s", 32 << 10, 0},
	} {
		for name, src := range map[string]io.Reader{"": bytes.NewReader(in), " of a Readier": &allReady{in}} {
			synctest.Test(t, func(t *testing.T) {
				r := mustParse(t, test.text).Open(src)
				defer r.Close()
				var got []byte
				d := took(func() { got = gather(t, r, test.size) })
				if !bytes.Equal(got, in) {
					t.Errorf("%s: what comes out is not what went in", test.text)
				}
				within(t, test.text+name, d, test.want)
			})
		}
	}
}

// allReady has all of its input at hand.
type allReady struct{ input []byte }

func (a *allReady) Read(p []byte) (int, error) {
	if len(a.input) == 0 {
		return 0, io.EOF
	}
	n := copy(p, a.input)
	a.input = a.input[n:]
	return n, nil
}

func (a *allReady) Ready() bool { return true }

// gather reads to the end by size, and wants no Read to wait after Ready was true.
func gather(t *testing.T, r io.Reader, size int) []byte {
	t.Helper()
	var all []byte
	buf := make([]byte, size)
	ready, _ := r.(transform.Readier)
	for {
		promised, began := ready.Ready(), time.Now()
		n, err := r.Read(buf)
		if waited := time.Since(began); promised && waited > 0 {
			t.Fatalf("Ready was true and Read has waited for %v", waited)
		}
		all = append(all, buf[:n]...)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Streams of one stage share its rate, or do not.
func TestLimitScope(t *testing.T) {
	for scope, want := range map[string]time.Duration{
		"conn": 9900 * time.Millisecond, "source": 19900 * time.Millisecond, "route": 39900 * time.Millisecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := mustParse(t, "limit:1k/s,burst=102,scope="+scope)
			d := took(func() {
				done := make(chan int)
				for i := range 4 {
					at := &transform.Site{Client: fmt.Sprintf("192.0.2.%d:%d", i%2, 1000+i)}
					go func() {
						r := s.OpenAt(bytes.NewReader(make([]byte, 10<<10)), at)
						defer r.Close()
						n, _ := io.Copy(io.Discard, r)
						done <- int(n)
					}()
				}
				for range 4 {
					if n := <-done; n != 10<<10 {
						t.Errorf("%d bytes came", n)
					}
				}
			})
			within(t, scope, d, want)
		})
	}
}

// A delay delays, each byte and the end, and does not make the stream slower.
func TestDelayIsRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pieces = 500
		r := mustParse(t, "delay:300ms").Open(&slow{n: 1000, d: 10 * time.Millisecond, left: 1000 * pieces})
		defer r.Close()
		buf := make([]byte, 4<<10)
		began := time.Now()
		for i := range pieces {
			n, err := r.Read(buf)
			if n != 1000 || err != nil {
				t.Fatal(n, err)
			}
			if got, want := time.Since(began), time.Duration(i+1)*10*time.Millisecond+300*time.Millisecond; got != want {
				t.Fatalf("piece %d came after %v, want %v", i, got, want)
			}
		}
		if n, err := r.Read(buf); n != 0 || err != io.EOF {
			t.Errorf("at the end: %d, %v", n, err)
		}
		if got := time.Since(began); got != 10*pieces*time.Millisecond+300*time.Millisecond {
			t.Errorf("the end came after %v", got)
		}
	})
}

// Jitter spreads what arrives over its range, and changes no order.
func TestDelayJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := sample(300_000)
		r := mustParse(t, "delay:100ms,jitter=50ms,seed=3").Open(&trickle{in, 100 * time.Millisecond})
		defer r.Close()
		var got []byte
		least, most := time.Hour, time.Duration(0)
		began := time.Now()
		buf := make([]byte, 4<<10)
		for i := 1; ; i++ {
			n, err := r.Read(buf)
			if err == io.EOF {
				break
			}
			got = append(got, buf[:n]...)
			d := time.Since(began) - time.Duration(i)*100*time.Millisecond
			least, most = min(least, d), max(most, d)
		}
		if !bytes.Equal(got, in) {
			t.Error("what comes out is not what went in")
		}
		if least < 50*time.Millisecond || least > 55*time.Millisecond || most > 150*time.Millisecond || most < 145*time.Millisecond {
			t.Errorf("the delays are from %v to %v, want from 50ms to 150ms", least, most)
		}
	})
}

// A trickle gives a thousand bytes after each d.
type trickle struct {
	input []byte
	d     time.Duration
}

func (s *trickle) Read(p []byte) (int, error) {
	if len(s.input) == 0 {
		return 0, io.EOF
	}
	<-time.After(s.d)
	n := copy(p[:1000], s.input)
	s.input = s.input[n:]
	return n, nil
}

// While the queue is full, the source is not read: also when it is full of
// single bytes.
func TestDelayQueueIsBounded(t *testing.T) {
	for size, most := range map[int]int{1: 64<<10/97 + 1, 1000: 64<<10/1096 + 1, 32 << 10: 2} {
		synctest.Test(t, func(t *testing.T) {
			f := &counting{size: size}
			r := mustParse(t, "delay:1h,queue=64k").Open(f)
			at := make(chan error)
			go func() {
				_, err := r.Read(make([]byte, 10))
				at <- err
			}()
			synctest.Wait()
			if n := int(f.reads.Load()); n != most+1 { // the last one waits for room
				t.Errorf("by %d: the source was read %d times, want %d", size, n, most+1)
			}
			d := took(func() {
				if err := <-at; err != nil {
					t.Error(err)
				}
			})
			if d != time.Hour {
				t.Errorf("the first bytes came after %v", d)
			}
			f.over.Store(true)
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A counting source is read on the feeder's goroutine.
type counting struct {
	size  int
	reads atomic.Int64
	over  atomic.Bool
}

func (c *counting) Read(p []byte) (int, error) {
	if c.over.Load() {
		return 0, errors.New("over")
	}
	c.reads.Add(1)
	return min(c.size, len(p)), nil
}

// What Ready has taken from a bucket for bytes that do not come is given back, also
// while another stream waits for some.
func TestLimitGivesBack(t *testing.T) {
	for _, wait := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := mustParse(t, "limit:10/s,burst=1k,scope=route")
			ends := s.Open(&allReady{})
			if !ends.(transform.Readier).Ready() {
				t.Fatal("the end is not ready")
			}
			waits := make(chan struct{})
			if wait {
				go func() {
					defer close(waits)
					s.Open(strings.NewReader("x")).Read(make([]byte, 1))
				}()
				synctest.Wait()
			} else {
				close(waits)
			}
			if n, err := ends.Read(make([]byte, 10)); n != 0 || err != io.EOF {
				t.Fatalf("at the end: %d, %v", n, err)
			}
			ends.Close()
			d := took(func() {
				if n, err := s.Open(strings.NewReader("hello")).Read(make([]byte, 10)); n != 5 || err != nil {
					t.Errorf("read %d, %v", n, err)
				}
			})
			if d != 0 {
				t.Errorf("wait %v: another stream has waited for %v", wait, d)
			}
			<-waits
		})
	}
}

// Who has begun to read while the bucket was full, and gets a lot when it is empty,
// waits for it piece by piece, so that others have their turn between.
func TestLimitTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustParse(t, "limit:1000/s,burst=32k,scope=route")
		from, to := io.Pipe()
		much := make(chan time.Duration)
		go func() {
			began := time.Now()
			gather(t, s.Open(from), 32<<10)
			much <- time.Since(began)
		}()
		synctest.Wait() // it reads
		gather(t, s.Open(bytes.NewReader(sample(32<<10))), 32<<10)
		to.Write(sample(10_000))
		to.Close()
		synctest.Wait()
		d := took(func() { gather(t, s.Open(strings.NewReader("x")), 1) })
		if d > 250*time.Millisecond {
			t.Errorf("a byte of another stream has waited for %v", d)
		}
		within(t, "all", <-much, 10*time.Second)
	})
}

// A bucket that is used up stays so when the chain is changed, whoever has it.
func TestLimitGoesOn(t *testing.T) {
	for _, scope := range []string{"conn", "source", "route"} {
		synctest.Test(t, func(t *testing.T) {
			s := mustParse(t, "limit:1/s,burst=5,scope="+scope)
			past := new(transform.Past)
			src := strings.NewReader("0123456789")
			d := took(func() {
				for src.Len() > 0 {
					r, closeChain := transform.Chain{s}.OpenAt(src, &transform.Site{Past: past, Client: "192.0.2.1:1"})
					if _, err := r.Read(make([]byte, 5)); err != nil {
						t.Error(err)
					}
					if err := closeChain(); err != nil {
						t.Error(err)
					}
				}
			})
			within(t, scope+": twice the burst", d, 5*time.Second)
		})
	}
}

// What was read before a failure arrives, and then the failure.
func TestDelayedFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failure := errors.New("reset by peer")
		r := mustParse(t, "delay:1s").Open(io.MultiReader(strings.NewReader("hello"), failing{failure}))
		d := took(func() {
			if got, err := io.ReadAll(r); string(got) != "hello" || err != failure {
				t.Errorf("got %q, %v", got, err)
			}
		})
		if d != time.Second {
			t.Errorf("it took %v", d)
		}
		r.Close()
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Pieces are no larger than asked for, and no nearer to each other.
func TestSliceIsRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := sample(1000)
		r := mustParse(t, "slice:300,delay=1s").Open(bytes.NewReader(in))
		began := time.Now()
		var got []byte
		for i, want := range []int{300, 300, 300, 100} {
			buf := make([]byte, 500)
			n, err := r.Read(buf)
			if n != want || err != nil {
				t.Fatalf("piece %d: %d, %v", i, n, err)
			}
			got = append(got, buf[:n]...)
			if d := time.Since(began); d != time.Duration(i)*time.Second {
				t.Errorf("piece %d came after %v", i, d)
			}
		}
		if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF || !bytes.Equal(got, in) {
			t.Errorf("at the end: %d, %v", n, err)
		}
		if d := time.Since(began); d != 3*time.Second {
			t.Errorf("the end came after %v", d)
		}
	})
}

func TestStallIsRight(t *testing.T) {
	for _, in := range []string{"hello world", "hello"} {
		synctest.Test(t, func(t *testing.T) {
			r := mustParse(t, "stall:5,time=30s").Open(strings.NewReader(in))
			buf := make([]byte, 100)
			d := took(func() {
				if n, err := r.Read(buf); string(buf[:n]) != "hello" || err != nil {
					t.Errorf("before: %q, %v", buf[:n], err)
				}
			})
			if d != 0 {
				t.Errorf("what comes before has waited for %v", d)
			}
			d = took(func() {
				if rest, err := io.ReadAll(r); "hello"+string(rest) != in || err != nil {
					t.Errorf("after: %q, %v", rest, err)
				}
			})
			if d != 30*time.Second {
				t.Errorf("it has stalled for %v", d)
			}
		})
	}
}

// A cut ends every wait at once, and what was waited with is gone.
func TestPausesAreCut(t *testing.T) {
	for _, text := range []string{
		"stall", "stall:3", "stall:0,time=1h", "limit:1/s", "limit:1/s,scope=route", "limit:1/s,scope=source", "slice:1,delay=1h", "delay:1h",
		"gzip,stall:5,gunzip,count", "delay:1h,queue=1",
	} {
		synctest.Test(t, func(t *testing.T) {
			at, _ := site()
			c, err := transform.ParseChain(text)
			if err != nil {
				t.Fatal(err)
			}
			r, closeChain := c.OpenAt(strings.NewReader("hello"), at)
			time.AfterFunc(time.Second+time.Millisecond/2, at.Cut)
			d := took(func() {
				if got, err := io.ReadAll(r); !errors.Is(err, net.ErrClosed) || len(got) > 3 {
					t.Errorf("%s: got %q, %v", text, got, err)
				}
			})
			if d > 2*time.Second {
				t.Errorf("%s: it took %v", text, d)
			}
			if err := closeChain(); err != nil {
				t.Error(err)
			}
		})
	}
}

// The same seed makes the same delays.
func TestDelaySeed(t *testing.T) {
	times := func(seed string) (all []time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			r := mustParse(t, "delay:1s,jitter=1s,seed="+seed).Open(&slow{n: 1, d: 2 * time.Second, left: 20})
			defer r.Close()
			began := time.Now()
			for n, err := 0, error(nil); err == nil; n, err = r.Read(make([]byte, 10)) {
				all = append(all, time.Since(began)+time.Duration(n))
			}
		})
		return all
	}
	one, same, other := times("1"), times("1"), times("2")
	equal := func(a, b []time.Duration) bool {
		for i := range a {
			if i >= len(b) || a[i] != b[i] {
				return false
			}
		}
		return len(a) == len(b)
	}
	if !equal(one, same) || equal(one, other) {
		t.Errorf("with seeds 1, 1 and 2: %v, %v, %v", one, same, other)
	}
}
