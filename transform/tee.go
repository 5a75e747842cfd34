package transform

// The tee stage: what passes goes to a second place, too, a file or an address.
// In step with the stream, or, if it is lossy, on a goroutine that the stream
// does not wait for.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"relayd/lifetime"
)

const (
	// teeDial bounds the dialling of the copy's address.
	teeDial = 10 * time.Second

	// teeLinger is how long a lossy copy has, after the stream's end, to write
	// what it still has.
	teeLinger = 2 * time.Second

	// defaultTeeTimeout is how long the copy's receiver may take for one write.
	defaultTeeTimeout = time.Minute
)

var teeDefinition = definition{
	Info: Info{
		Name:    "tee",
		Summary: "copy what passes to a file or an address",
		Options: []Option{
			{
				Name:     "to",
				Values:   "an address, with its scheme, or a file's name, with a ./ before it if it is like an address; in that " + fileForm,
				Doc:      "where the copy goes: a file is appended to, an address is dialled for each conn and direction",
				Main:     true,
				Required: true,
				canon:    canonTeeTo,
				use:      usesTarget,
			},
			{
				Name:    "lossy",
				Default: "false",
				Values:  "true or false",
				Doc: "false: nothing passes before it is copied, and a failure of the copy is the stage's;" +
					" true: the stream never waits, and what the copy cannot take in time is left out, counted and logged",
				canon: canonBool,
			},
			{
				Name:    "timeout",
				Default: defaultTeeTimeout.String(),
				Values:  "a duration such as 10s or 5m",
				Doc:     "how long a write of the copy, of up to 32 KiB, may take before the copy has failed",
				canon:   canonTimeout,
			},
		},
		Memory:  "300 bytes; lossy up to 288 KiB while the copy is behind",
		Example: "tee:tcp://127.0.0.1:9000,lossy=true",
		Notes: []string{
			"The bytes pass unchanged, and the copy sees them as they are at this place of the chain: " +
				"before or after a compressor is its choice by order.",
			"A lossy copy has room for 256 KiB that its receiver is behind by, and 2 s after the end of " +
				"the stream to write what it still has; a receiver that is away costs the stream nothing.",
		},
	},
	build: func(values []string) opener {
		timeout, err := time.ParseDuration(values[2])
		if err != nil {
			panic("transform: tee: timeout is not canonical: " + values[2])
		}
		lossy := values[1] == "true"
		return func(src *source) io.ReadCloser {
			to := &receiver{site: src.site, to: values[0], timeout: timeout}
			if lossy {
				return watched(src, &lossyTee{to: to})
			}
			return watched(src, newPacedTee(to))
		}
	},
}

func canonTeeTo(value string) (string, error) {
	if isAddress(value) {
		return value, nil
	}
	if first, _, _ := strings.Cut(value, "/"); strings.Contains(first, ":") {
		return "", fmt.Errorf("write %s if it is an address, ./%s if it is a file", withScheme(value), value)
	}
	return canonFile(value)
}

// withScheme makes an address of what may be meant as one.
func withScheme(value string) string {
	scheme, rest, _ := strings.Cut(value, ":")
	switch scheme = strings.ToLower(scheme); scheme {
	case "tcp", "tls", "unix", "exec":
		return scheme + "://" + strings.TrimPrefix(rest, "//")
	}
	return "tcp://" + value
}

// isAddress tells an address from the name of a file.
func isAddress(to string) bool {
	scheme, _, ok := strings.Cut(to, "://")
	return ok && scheme != "" && strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyz") == ""
}

func canonBool(value string) (string, error) {
	if value != "true" && value != "false" {
		return "", errors.New("want true or false")
	}
	return value, nil
}

func canonTimeout(value string) (string, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		return "", errors.New("want a duration such as 10s or 5m")
	}
	return d.String(), nil
}

var (
	errNoDial = errors.New("there is nobody here to connect to addresses")
	// errTeeCut ends a write of the copy of a stream that was cut.
	errTeeCut error = teeCut{}
)

type teeCut struct{}

func (teeCut) Error() string        { return "the stream was cut while its copy was waited for" }
func (teeCut) Is(target error) bool { return ErrClosed.(closedError).Is(target) }

// A receiver is where a copy goes, which may be stuck: each write is bounded, and
// any of them can be woken.
type receiver struct {
	site    *Site
	to      string
	timeout time.Duration

	sink  io.WriteCloser
	timer *time.Timer // closes the sink under a write that takes too long
}

// name is the address, or the file's name in full.
func (r *receiver) name() string {
	if isAddress(r.to) {
		return r.to
	}
	return fileName(r.to, r.site)
}

// open connects to the receiver, whose resource stands below that one. Only what
// dials can take long, and ends with ctx.
func (r *receiver) open(ctx context.Context, below *lifetime.Node) error {
	if !isAddress(r.to) {
		f, err := appendFile(r.name(), os.O_WRONLY, true)
		if err != nil {
			return err
		}
		r.sink = f
		return nil
	}
	if r.site.Dial == nil {
		return errNoDial
	}
	ctx, stop := context.WithTimeout(ctx, teeDial)
	defer stop()
	sink, err := r.site.Dial(ctx, below, r.to)
	if err != nil {
		return err
	}
	r.sink = sink
	return nil
}

// write writes all of p, or fails when that takes too long. It returns how much was
// written.
func (r *receiver) write(p []byte) (int, error) {
	if r.timer == nil {
		r.timer = time.AfterFunc(r.timeout, r.wake)
	} else {
		r.timer.Reset(r.timeout)
	}
	n, err := r.sink.Write(p)
	if !r.timer.Stop() && err != nil {
		err = fmt.Errorf("the copy to %s has not taken %d bytes for %v", r.name(), len(p), r.timeout)
	}
	return n, err
}

// wake ends a write, and is the end of the receiver. Any goroutine may call it.
func (r *receiver) wake() { r.sink.Close() }

// close finishes.
func (r *receiver) close() error {
	if r.timer != nil {
		r.timer.Stop()
	}
	return r.sink.Close()
}

// A pacedTee copies in step with the stream.
type pacedTee struct {
	to  *receiver
	cut context.CancelFunc
	ctx context.Context // ends when the stream is cut, or closed
}

func newPacedTee(to *receiver) *pacedTee {
	t := &pacedTee{to: to}
	t.ctx, t.cut = context.WithCancel(context.Background())
	to.site.OnCut(t.cut)
	return t
}

func (t *pacedTee) begin() error {
	if err := t.to.open(t.ctx, t.to.site.Owner); err != nil {
		return t.verdict(err)
	}
	t.to.site.OnCut(t.to.wake)
	return nil
}

func (t *pacedTee) see(p []byte) error {
	_, err := t.to.write(p)
	return t.verdict(err)
}

// verdict is what an error of the copy means.
func (t *pacedTee) verdict(err error) error {
	if err != nil && t.ctx.Err() != nil {
		return errTeeCut
	}
	return err
}

func (t *pacedTee) end(err error) {
	cerr := t.to.close()
	if err != nil && t.verdict(cerr) == cerr && cerr != nil {
		t.to.site.say(slog.LevelWarn, "copy may not be whole", "to", t.to.name(), "err", cerr)
	}
}
