package transform

// The pcapng stage: what passes, as a capture file; see package pcapng.

import (
	"io"
	"log/slog"
	"time"

	"relayd/transform/pcapng"
)

var pcapngDefinition = definition{
	Info: Info{
		Name: "pcapng",
		Summary: "append what passes to a capture file, as TCP streams that Wireshark follows;" +
			" with the same file in both directions, both are in one stream",
		Options: []Option{{
			Name:     "file",
			Values:   "a file's name; in it " + fileForm,
			Doc:      "the capture: stages with the same name share it; it may exist, and may not be a pipe",
			Main:     true,
			Required: true,
			canon:    canonFile,
			use:      usesOutput,
		}},
		Memory:  "200 bytes; 70 KiB for each file that is open",
		Example: "pcapng:/tmp/%c.pcapng",
		Notes: []string{
			"The bytes pass unchanged. The packets are made up: relayd sees streams, and the capture " +
				"shows when and in which pieces they came by this stage.",
			"A file that cannot be opened ends the conn; one that cannot be written to any more is given " +
				"up with a warning, and the stream goes on.",
		},
	},
	build: func(values []string) opener {
		return func(src *source) io.ReadCloser {
			return watched(src, &recorder{site: src.site, name: values[0], now: time.Now})
		}
	},
}

// A recorder is one stage of a conn.
type recorder struct {
	site   *Site
	name   string
	now    func() time.Time
	track  *track
	failed bool // it has been said that the capture has failed
}

// direction is that of the recorder.
func (r *recorder) direction() pcapng.Direction {
	if r.site.Direction == "down" {
		return pcapng.Down
	}
	return pcapng.Up
}

func (r *recorder) begin() error {
	t, err := join(fileName(r.name, r.site), r.site, r.direction(), r.now())
	r.track = t
	return err
}

// see never fails: the stream must not end because somebody looks at it.
func (r *recorder) see(p []byte) error {
	if !r.failed {
		r.check(r.track.conn.Write(r.direction(), r.now(), p))
	}
	return nil
}

func (r *recorder) end(err error) {
	if err == io.EOF && !r.failed {
		r.check(r.track.conn.Finish(r.direction(), r.now()))
	}
	r.check(r.track.leave(r.site.Owner, r.direction(), err == io.EOF, r.now()))
}

// check says the first error of the capture, once for each stage.
func (r *recorder) check(err error) {
	if err != nil && !r.failed {
		r.failed = true
		r.site.say(slog.LevelWarn, "capture has stopped", "file", r.track.file.name, "err", err)
	}
}
