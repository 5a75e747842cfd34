package transform

// Captures are shared: all stages that name a file have one writer, and both
// directions of a conn one stream in it.

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"relayd/lifetime"
	"relayd/transform/pcapng"
)

// captures are the open ones, by absolute name.
var captures = struct {
	sync.Mutex
	open map[string]*capture
}{open: make(map[string]*capture)}

// A capture is an open file. It is closed when the last stage has left it; a
// stage that comes later opens it again.
type capture struct {
	name  string
	users int // under captures

	// The rest is under mu, which is held while the file is opened, so that a
	// slow one does not stop the others.
	mu     sync.Mutex
	file   *os.File
	w      *pcapng.Writer
	tracks map[string]*track // by conn
}

// A track is a conn in a capture.
type track struct {
	file *capture
	id   string // empty if the conn is nobody's
	conn *pcapng.Conn

	// Under file.mu, by direction.
	present [2]bool // a stage is there
	seen    [2]bool // one was
	broken  bool    // one has left before its direction's end
	waits   bool    // for the other direction, which has not begun
}

// join returns the track of a conn in the named file, for one direction. It
// fails if the file cannot be opened, or is no capture. A full disk is no reason:
// then the track's own methods fail.
func join(name string, at *Site, d pcapng.Direction, now time.Time) (*track, error) {
	name, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	captures.Lock()
	c := captures.open[name]
	if c == nil {
		c = &capture{name: name, tracks: make(map[string]*track)}
		captures.open[name] = c
	}
	c.users++
	captures.Unlock()
	t, err := c.join(at, d, now)
	if err != nil {
		c.release()
	}
	return t, err
}

func (c *capture) join(at *Site, d pcapng.Direction, now time.Time) (*track, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file == nil {
		if err := c.begin(); err != nil {
			return nil, err
		}
	}
	t := c.tracks[at.Conn]
	if t == nil {
		t = &track{file: c, id: at.Conn, conn: c.w.Conn(now, orNone(at.Conn), at.Client, at.Upstream)}
		if t.id != "" {
			c.tracks[t.id] = t
		}
	}
	if t.present[d] {
		return nil, fmt.Errorf("%s has this conn's direction already: give each stage of a chain a file of its own", c.name)
	}
	t.present[d], t.seen[d] = true, true
	return t, nil
}

// begin opens the file.
func (c *capture) begin() error {
	f, err := appendFile(c.name, os.O_RDWR, false)
	if err != nil {
		return err
	}
	w, err := pcapng.Append(f)
	if w == nil {
		f.Close()
		return err
	}
	c.file, c.w = f, w
	return nil
}

// release gives up one use of c, and closes the file with the last one.
func (c *capture) release() error {
	captures.Lock()
	c.users--
	last := c.users == 0
	if last {
		delete(captures.open, c.name)
	}
	captures.Unlock()
	if !last || c.file == nil {
		return nil
	}
	return c.file.Close()
}

// leave ends a direction, after its end or before. The last one to leave ends
// the stream. A direction that nobody has watched may be about to begin, so it
// has until the end of the conn.
func (t *track) leave(owner *lifetime.Node, d pcapng.Direction, whole bool, now time.Time) error {
	c := t.file
	c.mu.Lock()
	t.present[d] = false
	t.broken = t.broken || !whole
	switch {
	case t.present[1-d] || t.waits:
	case !t.seen[1-d] && whole && owner != nil:
		t.waits = true
		go t.wait(owner)
		c.mu.Unlock()
		return nil
	default:
		t.end(now)
	}
	c.mu.Unlock()
	return c.release()
}

// wait ends a stream at the end of its conn. It holds a use of the file, and is
// over when its conn is.
func (t *track) wait(owner *lifetime.Node) {
	<-owner.Done()
	t.file.mu.Lock()
	t.end(time.Now())
	t.file.mu.Unlock()
	t.file.release()
}

// end ends the stream, under file.mu: a direction that nobody has watched ends as
// the other one has.
func (t *track) end(now time.Time) {
	if t.file.tracks[t.id] == t {
		delete(t.file.tracks, t.id)
	}
	for d := range pcapng.Direction(2) {
		if !t.broken && !t.seen[d] {
			t.conn.Finish(d, now)
		}
	}
	t.conn.Close(now)
}
