package transform

// The stages that watch: they pass every byte on unchanged, at once, and show it
// to an observer.

import (
	"io"
	"time"
)

// An observer is what a watching stage does with what it sees. Its methods are
// called on the goroutine that reads the stage.
type observer interface {
	// begin is called before the first byte is read. If it fails, so does the
	// stage, and nothing else is called.
	begin() error
	// see is called with what was read, before it is passed on. If it fails, so
	// does the stage, and p is not passed on. p is not kept.
	see(p []byte) error
	// end is called once: with io.EOF or the source's error, when that has been
	// read, or with nil in Close, when the stream was cut before.
	end(err error)
}

// watched puts an observer on a source.
func watched(src *source, o observer) io.ReadCloser { return &watch{src: src, o: o} }

type watch struct {
	src   *source
	o     observer
	begun bool
	ended bool
}

func (w *watch) Read(p []byte) (int, error) {
	if !w.begun {
		if err := w.o.begin(); err != nil {
			return 0, err
		}
		w.begun = true
	}
	n, err := w.src.Read(p)
	if n > 0 {
		if err := w.o.see(p[:n]); err != nil {
			return 0, err
		}
	}
	if err != nil {
		w.end(err)
	}
	return n, err
}

// Ready is the source's: nothing is kept back.
func (w *watch) Ready() bool { return w.src.Ready() }

// Wait is the source's, so that a stage behind this one hears of its silence.
func (w *watch) Wait(d time.Duration) bool { return w.src.Wait(d) }

func (w *watch) Close() error {
	w.end(nil)
	return nil
}

func (w *watch) end(err error) {
	if w.begun && !w.ended {
		w.ended = true
		w.o.end(err)
	}
}

// outcome says how a stream ended that a watching stage has something to say
// about.
func outcome(err error) string {
	switch err {
	case nil:
		return "cut"
	case io.EOF:
		return "eof"
	}
	return "failed"
}

// labelOption is the option of stages that log a line at the end.
var labelOption = Option{
	Name:   "label",
	Values: "any text",
	Doc:    "goes into the line that is logged, to tell it from another stage's",
	canon:  func(value string) (string, error) { return value, nil },
}

// labelled appends a label to what is logged.
func labelled(args []any, label string) []any {
	if label == "" {
		return args
	}
	return append(args, "label", label)
}
