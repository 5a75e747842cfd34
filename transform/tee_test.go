package transform_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"relayd/lifetime"
	"relayd/transform"
)

// A copyist is a receiver of copies as a test wants it.
type copyist struct {
	mu     sync.Mutex
	got    bytes.Buffer
	closed bool
	freed  bool
	err    error         // of every write
	stuck  chan struct{} // nil: it is not; closed: it is no more
	began  chan struct{} // a write has begun, if there is one to tell
}

func newStuck() *copyist { return &copyist{stuck: make(chan struct{}), began: make(chan struct{}, 1)} }

func (c *copyist) Write(p []byte) (int, error) {
	if c.stuck != nil {
		select {
		case c.began <- struct{}{}:
		default:
		}
		<-c.stuck
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	if c.err != nil {
		return 0, c.err
	}
	return c.got.Write(p)
}

func (c *copyist) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.free()
	return nil
}

// free makes it take what it is given, under mu.
func (c *copyist) free() {
	if c.stuck != nil && !c.freed {
		close(c.stuck)
	}
	c.freed = true
}

func (c *copyist) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got.String()
}

// dials makes a site's stages reach c, at any address.
func dials(at *transform.Site, c *copyist) {
	at.Dial = func(context.Context, *lifetime.Node, string) (io.WriteCloser, error) { return c, nil }
}

func TestTee(t *testing.T) {
	for _, lossy := range []string{"false", "true"} {
		synctest.Test(t, func(t *testing.T) {
			at, log := site()
			var c copyist
			asked := ""
			at.Dial = func(_ context.Context, _ *lifetime.Node, address string) (io.WriteCloser, error) {
				asked = address
				return &c, nil
			}
			in := sample(100_000)
			passes(t, "tee:tcp://h:1,lossy="+lossy, at, in)
			synctest.Wait()
			if c.text() != string(in) || !c.closed || asked != "tcp://h:1" {
				t.Errorf("the copy has %d bytes, closed %t, at %s", c.got.Len(), c.closed, asked)
			}
			log.want(t)
		})
	}
}

// Nothing passes that was not copied, unless the copy is lossy.
func TestTeeToFullDisk(t *testing.T) {
	at, log := site()
	got, err := pull(t, "tee:/dev/full", at, strings.NewReader("hello"))
	var e *transform.Error
	if len(got) > 0 || !errors.As(err, &e) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%q passed, with %v", got, err)
	}
	log.want(t)
}

func TestLossyTeeThatFails(t *testing.T) {
	for name, test := range map[string]struct {
		to   string
		dial func(context.Context, *lifetime.Node, string) (io.WriteCloser, error)
		err  string
	}{
		"disk full":  {"/dev/full", nil, "write /dev/full: no space left on device"},
		"no file":    {"/no/file", nil, "open /no/file: no such file or directory"},
		"no dialler": {"tcp://h:1", nil, "there is nobody here to connect to addresses"},
		"no answer": {"tcp://h:1", func(context.Context, *lifetime.Node, string) (io.WriteCloser, error) {
			return nil, errors.New("refused")
		}, "refused"},
		"broken": {"tcp://h:1", func(context.Context, *lifetime.Node, string) (io.WriteCloser, error) {
			return &copyist{err: errors.New("broken pipe")}, nil
		}, "broken pipe"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				at, log := site()
				at.Dial = test.dial
				src, in := io.Pipe()
				r := mustParse(t, "tee:"+test.to+",lossy=true").OpenAt(src, at)
				for range 3 {
					go io.WriteString(in, "hello")
					if n, err := r.Read(make([]byte, 10)); n != 5 || err != nil {
						t.Fatal(n, err)
					}
					synctest.Wait()
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				log.want(t,
					fmt.Sprintf("WARN copy has failed id=c1 direction=up to=%s err=%s", test.to, test.err),
					fmt.Sprintf("WARN copy is not whole id=c1 direction=up to=%s copied=0 left_out=15 err=%[2]s", test.to, test.err))
			})
		})
	}
}

// A receiver that takes nothing does not stall the stream: not its bytes, not
// its end. What it did not get is counted to the byte.
func TestLossyTeeStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, log := site()
		c := newStuck()
		dials(at, c)
		in := sample(1_000_000)
		began := time.Now()
		passes(t, "tee:tcp://h:1,lossy=true", at, in)
		if took := time.Since(began); took > 0 {
			t.Errorf("the stream has waited for %v", took)
		}
		synctest.Wait()
		<-time.After(3 * time.Second) // by the bubble's clock
		synctest.Wait()
		if took := time.Since(began); !c.closed {
			t.Errorf("the copy is open after %v", took)
		}
		log.want(t, "WARN copy is behind: bytes are left out id=c1 direction=up to=tcp://h:1",
			"WARN copy is not whole id=c1 direction=up to=tcp://h:1 copied=0 left_out=1000000")
	})
}

// A receiver that is slow gets what there is room for, in order.
func TestLossyTeeSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, log := site()
		c := newStuck()
		dials(at, c)
		in := sample(1_000_000)
		src, w := io.Pipe()
		r := mustParse(t, "tee:tcp://h:1,lossy=true").OpenAt(src, at)
		go w.Write(in[:10])
		r.Read(make([]byte, 10))
		<-c.began // the goroutine has the first bytes, and the queue is empty
		go func() {
			w.Write(in[10:])
			w.Close()
		}()
		if got, err := io.ReadAll(r); err != nil || len(got) != len(in)-10 {
			t.Errorf("%d bytes passed, %v", len(got), err)
		}
		c.mu.Lock()
		c.free()
		c.mu.Unlock()
		r.Close()
		synctest.Wait()
		const queue = 256 << 10
		if got := c.text(); got != string(in[:10+queue]) {
			t.Errorf("the copy has %d bytes, want %d", len(got), 10+queue)
		}
		log.want(t, "WARN copy is behind: bytes are left out id=c1 direction=up to=tcp://h:1",
			fmt.Sprintf("WARN copy is not whole id=c1 direction=up to=tcp://h:1 copied=%d left_out=%d", 10+queue, len(in)-10-queue))
	})
}

// The shutdown of the conn ends its copies at once.
func TestLossyTeeShutDown(t *testing.T) {
	for _, closed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			at, _ := site()
			conn := newResource(t)
			at.Owner = &conn.Node
			c := newStuck()
			dials(at, c)
			r := mustParse(t, "tee:tcp://h:1,lossy=true").OpenAt(strings.NewReader("hello"), at)
			if _, err := r.Read(make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			<-c.began
			if closed {
				r.Close()
			}
			if names := lifetime.Snapshot(&conn.Node); len(names) != 2 || !strings.HasSuffix(names[1].Name, ".tee") {
				t.Errorf("below the conn is %v", names)
			}
			began := time.Now()
			conn.BeginShutdown(errors.New("killed"))
			<-conn.Done()
			if took := time.Since(began); took > 0 {
				t.Errorf("it took %v", took)
			}
			r.Close()
			if !c.closed {
				t.Error("the copy is open")
			}
		})
	}
}

// A dial that does not answer is bounded, and ends with the stream.
func TestTeeDial(t *testing.T) {
	hang := func(ctx context.Context, _ *lifetime.Node, _ string) (io.WriteCloser, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for text, want := range map[string]time.Duration{"tee:tcp://h:1": 10 * time.Second, "tee:tcp://h:1,lossy=true": 2 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			at, _ := site()
			conn := newResource(t)
			at.Owner, at.Dial = &conn.Node, hang
			began := time.Now()
			_, err := pull(t, text, at, strings.NewReader("hello"))
			if lossy := strings.Contains(text, "lossy"); lossy == errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: got %v", text, err)
			}
			conn.BeginDrop()
			<-conn.Done()
			if took := time.Since(began); took != want {
				t.Errorf("%s: it took %v, want %v", text, took, want)
			}
		})
	}
}

// A copy in step with the stream waits for its receiver, but not for ever, and
// not when the stream is cut.
func TestTeeStuck(t *testing.T) {
	for _, test := range []struct {
		name string
		cut  time.Duration
		want time.Duration
		err  string
	}{
		{"to the timeout", 0, 30 * time.Second, "tee: the copy to tcp://h:1 has not taken 5 bytes for 30s"},
		{"cut", time.Second, time.Second, "tee: the stream was cut while its copy was waited for"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				at, log := site()
				dials(at, newStuck())
				r := mustParse(t, "tee:tcp://h:1,timeout=30s").OpenAt(strings.NewReader("hello"), at)
				began := time.Now()
				if test.cut > 0 {
					time.AfterFunc(test.cut, at.Cut)
				}
				n, err := r.Read(make([]byte, 10))
				if n > 0 || err == nil || err.Error() != test.err {
					t.Errorf("got %d bytes, %v", n, err)
				}
				if errors.Is(err, net.ErrClosed) != (test.cut > 0) {
					t.Errorf("the error %v has the wrong side", err)
				}
				if took := time.Since(began); took != test.want {
					t.Errorf("it took %v", took)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
				log.want(t)
			})
		})
	}
}

// A pipe is a receiver, too, which may have no reader, or one that does not read.
func TestTeeToPipe(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	at, _ := site()
	if _, err := pull(t, "tee:"+fifo, at, strings.NewReader("hello")); err == nil || !strings.Contains(err.Error(), "nobody reads from it") {
		t.Errorf("without a reader: %v", err)
	}
	reader, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	at, _ = site()
	in := sample(10 << 20)
	r := mustParse(t, "tee:"+fifo).OpenAt(bytes.NewReader(in), at)
	first := make([]byte, 10)
	if _, err := r.Read(first); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, at.Cut) // likely in the middle of a write
	var passed int64
	for err == nil {
		var n int
		n, err = r.Read(make([]byte, 32<<10))
		passed += int64(n)
	}
	if !errors.Is(err, net.ErrClosed) || passed > 1<<20 {
		t.Errorf("%d bytes passed, then %v", passed, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// A stream that ends before its lossy copy has connected is copied all the same:
// the connection has a place in the tree, below the copy, which holds the conn.
func TestLossyTeeOutlivesAShortStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, log := site()
		conn, c := newResource(t), &copyist{}
		at.Owner = &conn.Node
		at.Dial = func(_ context.Context, below *lifetime.Node, _ string) (io.WriteCloser, error) {
			<-time.After(time.Second) // longer than the stream lasts
			connection := new(resource)
			if err := resourceKind.Init(connection, below, lifetime.Refcount); err != nil {
				return nil, err
			}
			connection.BeginDrop()
			return c, nil
		}
		if _, err := pull(t, "tee:tcp://h:1,lossy=true", at, strings.NewReader("hello")); err != nil {
			t.Error(err)
		}
		conn.BeginDrop()
		<-conn.Done()
		if got := c.got.String(); got != "hello" {
			t.Errorf("the copy has %q", got)
		}
		log.want(t)
	})
}

// A write that fails in the middle, as on a disk that is full, has copied its
// beginning.
func TestLossyTeeCountsParts(t *testing.T) {
	at, log := site()
	at.Dial = func(context.Context, *lifetime.Node, string) (io.WriteCloser, error) { return &room{left: 3}, nil }
	synctest.Test(t, func(t *testing.T) {
		passes(t, "tee:tcp://h:1,lossy=true", at, []byte("hello"))
		synctest.Wait()
	})
	if got := log.text(); !strings.Contains(got, "copied=3 left_out=2 ") {
		t.Errorf("logged\n%s", got)
	}
}

// A room takes so many bytes.
type room struct{ left int }

func (r *room) Write(p []byte) (int, error) {
	n := min(len(p), r.left)
	if r.left -= n; n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func (r *room) Close() error { return nil }
