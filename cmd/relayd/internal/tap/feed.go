package tap

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"relayd/cmd/relayd/internal/screen"
	"relayd/relay"
)

// A Header says what a stream is of.
type Header struct {
	ID       string   `json:"id"`
	Client   string   `json:"client"`
	Upstream string   `json:"upstream"`
	Listener string   `json:"listener,omitempty"`
	Side     string   `json:"side"` // of the stages: "client" or "upstream"
	Up       []string `json:"up,omitempty"`
	Down     []string `json:"down,omitempty"`
}

// An Event is something that happened to the conn: see [relay.TapEvent].
type Event struct {
	At     time.Time `json:"at"`
	From   string    `json:"from"` // "client", "upstream" or "us"
	Offset int64     `json:"offset"`
	Data   []byte    `json:"data,omitempty"`
	Missed int64     `json:"missed,omitempty"`
	End    string    `json:"end,omitempty"`
}

// A first is the first line.
type first struct {
	Conn *Header `json:"conn"`
}

// A Feed is a tap on its way to a watcher.
type Feed struct {
	head Header
	tap  *relay.Tap
}

// Open taps a conn. The errors are those of [relay.Server.Tap]. The caller owes a
// Close.
func Open(s *relay.Server, id string, o relay.TapOptions) (*Feed, error) {
	x, err := s.Tap(id, o)
	if err != nil {
		return nil, err
	}
	d, ok := s.Conn(id)
	if !ok {
		x.Close()
		return nil, relay.ErrNoConn
	}
	h := Header{ID: id, Client: d.Client, Upstream: d.Upstream, Listener: d.Listener,
		Side: x.Side().String(), Up: d.Up.Stages, Down: d.Down.Stages}
	if d.UpstreamSocket != nil && d.UpstreamSocket.Remote != "" {
		h.Upstream = d.UpstreamSocket.Remote
	}
	return &Feed{head: h, tap: x}, nil
}

// Close ends the tap.
func (f *Feed) Close() error { return f.tap.Close() }

// Send writes the stream to w until the conn's end, which is nil, or until ctx
// ends or a write fails. flush is called when nothing more is at hand. While a
// write blocks, the tap's queue fills, and then it leaves bytes out.
func (f *Feed) Send(ctx context.Context, w io.Writer, flush func() error) error {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(screen.EscapeJSON(out))
	if err := enc.Encode(first{&f.head}); err != nil {
		return err
	}
	for {
		e, ok := f.tap.TryNext()
		if !ok {
			if err := errors.Join(out.Flush(), flush()); err != nil {
				return err
			}
			var err error
			if e, err = f.tap.Next(ctx); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
		}
		if err := enc.Encode(Event{e.At, e.From.String(), e.Offset, e.Data, e.Missed, e.End}); err != nil {
			return err
		}
	}
}

// maxLine bounds a line. Data is what one read brings, at most 64 KiB.
const maxLine = 1 << 20

// A Reader reads a stream.
type Reader struct {
	Header Header
	lines  *bufio.Scanner
	over   bool
}

// errNoHeader is that a stream does not begin as one.
var errNoHeader = errors.New("the stream does not begin with a conn")

// NewReader reads the beginning of a stream.
func NewReader(r io.Reader) (*Reader, error) {
	x := &Reader{lines: bufio.NewScanner(r)}
	x.lines.Buffer(nil, maxLine)
	var line first
	if err := x.line(&line); err != nil {
		return nil, err
	}
	if line.Conn == nil {
		return nil, errNoHeader
	}
	x.Header = *line.Conn
	return x, nil
}

// Next returns the next event. After the conn's end it returns io.EOF, and
// [io.ErrUnexpectedEOF] if the stream is cut before.
func (x *Reader) Next() (Event, error) {
	if x.over {
		return Event{}, io.EOF
	}
	var e Event
	if err := x.line(&e); err != nil {
		return Event{}, err
	}
	x.over = e.From == "us"
	return e, nil
}

func (x *Reader) line(v any) error {
	if !x.lines.Scan() {
		if err := x.lines.Err(); err != nil {
			return err
		}
		return io.ErrUnexpectedEOF
	}
	if err := json.Unmarshal(x.lines.Bytes(), v); err != nil {
		return fmt.Errorf("what came is not the stream of a tap: %w", err)
	}
	return nil
}
