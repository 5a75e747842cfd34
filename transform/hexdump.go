package transform

// The hexdump stage: the bytes themselves, for people. Each line shows 16 bytes
// of what one Read brought:
//
//	00000010  68 65 6c 6c 6f 0a                                 |hello.|
//
// Only printable ASCII is shown as it is, so no peer can send anything to a
// terminal.

import (
	"encoding/hex"
	"io"
	"log/slog"
	"os"
	"strconv"
	"time"
)

const (
	dumpWidth  = 16
	dumpBuffer = 4 << 10 // lines are written to a file by so much
	dumpLine   = 200     // more than a line takes, but for the conn's id
)

var hexdumpDefinition = definition{
	Info: Info{
		Name:    "hexdump",
		Summary: "show the bytes in hexadecimal and ASCII: a line of the log, or of a file, for every 16",
		Options: []Option{{
			Name:   "file",
			Values: "a file's name; in it " + fileForm,
			Doc:    "append to this file, not to the log; each line has the time, the conn's id and the direction",
			Main:   true,
			canon:  canonFile,
			use:    usesOutput,
		}},
		Memory:  "4 KiB with a file; 200 bytes without",
		Example: "hexdump:/tmp/%c.%d.hex",
		Notes: []string{
			"The bytes pass unchanged. Only printable ASCII is shown as it is, so no peer can send " +
				"anything to a terminal.",
			"A file that cannot be opened ends the conn; one that cannot be written to any more is given " +
				"up with a warning, and the stream goes on. The log shows the bytes to whoever reads it.",
		},
	},
	build: func(values []string) opener {
		return func(src *source) io.ReadCloser {
			return watched(src, &hexdump{site: src.site, name: values[0], now: time.Now})
		}
	},
}

type hexdump struct {
	site   *Site
	name   string // of the file; empty: to the log
	now    func() time.Time
	file   *os.File // nil: the log, or it has failed
	offset int64
	buf    []byte
}

func (h *hexdump) begin() error {
	if h.name == "" {
		return nil
	}
	var err error
	h.file, err = appendFile(fileName(h.name, h.site), os.O_WRONLY, false)
	return err
}

func (h *hexdump) see(p []byte) error {
	switch {
	case h.file != nil:
		h.toFile(p)
	case h.name == "":
		h.toLog(p)
	}
	return nil
}

// next takes the bytes of one line from p.
func (h *hexdump) next(p []byte) (line, rest []byte, at int64) {
	n := min(len(p), dumpWidth)
	at = h.offset
	h.offset += int64(n)
	return p[:n], p[n:], at
}

func (h *hexdump) toLog(p []byte) {
	for len(p) > 0 {
		line, rest, at := h.next(p)
		h.buf = appendDump(h.buf[:0], at, line)
		h.site.say(slog.LevelInfo, string(h.buf))
		p = rest
	}
}

// toFile writes whole lines at a time, so that they stay whole also where
// several conns share a file.
func (h *hexdump) toFile(p []byte) {
	now := h.now().UTC()
	for len(p) > 0 && h.file != nil {
		h.buf = h.buf[:0]
		for len(p) > 0 && len(h.buf)+dumpLine <= dumpBuffer {
			line, rest, at := h.next(p)
			h.buf = now.AppendFormat(h.buf, "2006-01-02T15:04:05.000000Z ")
			h.buf = append(h.buf, orNone(h.site.Conn)...)
			h.buf = append(h.buf, ' ')
			h.buf = append(h.buf, orNone(h.site.Direction)...)
			h.buf = append(h.buf, ' ')
			h.buf = append(appendDump(h.buf, at, line), '\n')
			p = rest
		}
		if _, err := h.file.Write(h.buf); err != nil {
			h.failed(err)
		}
	}
}

// failed gives up on the file. The stream goes on: it must not end because
// somebody looks at it.
func (h *hexdump) failed(err error) {
	h.site.say(slog.LevelWarn, "hexdump has stopped", "offset", h.offset, "err", err)
	h.file.Close()
	h.file = nil
}

func (h *hexdump) end(error) {
	if h.file == nil {
		return
	}
	if err := h.file.Close(); err != nil {
		h.site.say(slog.LevelWarn, "hexdump is not whole", "err", err)
	}
}

// appendDump appends the line of up to 16 bytes, without an end of line.
func appendDump(b []byte, offset int64, line []byte) []byte {
	for shift := int64(1) << 28; shift > offset && shift > 1; shift >>= 4 {
		b = append(b, '0')
	}
	b = strconv.AppendInt(b, offset, 16)
	for i := range dumpWidth {
		if i%8 == 0 {
			b = append(b, ' ')
		}
		b = append(b, ' ')
		if i < len(line) {
			b = hex.AppendEncode(b, line[i:i+1])
		} else {
			b = append(b, ' ', ' ')
		}
	}
	b = append(b, ' ', ' ', '|')
	for _, c := range line {
		if c < ' ' || c > '~' {
			c = '.'
		}
		b = append(b, c)
	}
	return append(b, '|')
}
