package relay

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"

	"relayd/tests/leak"
	"relayd/transform"
)

// twice is a stage that says everything twice.
var twice = transform.NewStage("twice", func(src io.Reader) io.ReadCloser {
	return io.NopCloser(&twiceReader{src: src})
})

type twiceReader struct {
	src  io.Reader
	rest []byte
}

// Read reads a byte, and has it again for the next Read.
func (r *twiceReader) Read(p []byte) (int, error) {
	if len(r.rest) > 0 {
		n := copy(p, r.rest)
		r.rest = r.rest[n:]
		return n, nil
	}
	n, err := r.src.Read(p[:1])
	r.rest = append(r.rest[:0], p[:n]...)
	return n, err
}

// failing returns a stage that lets n bytes through and then fails as fail does.
func failing(n int64, fail func() error) transform.Stage {
	return transform.NewStage("failing", func(src io.Reader) io.ReadCloser {
		return io.NopCloser(io.MultiReader(io.LimitReader(src, n), readerFunc(func([]byte) (int, error) {
			return 0, fail()
		})))
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// The log counts what clients see: what they sent, and what they were sent.
func TestCounts(t *testing.T) {
	tests := []struct {
		name     string
		to       string
		up, down transform.Chain
		answer   string // to abc
	}{
		{"echo", "echo:", nil, nil, "abc"},
		{"discard", "discard:", nil, nil, ""},
		{"stage up", "echo:", transform.Chain{twice}, nil, "aabbcc"},
		{"stage down", "echo:", nil, transform.Chain{twice}, "aabbcc"},
		{"stages", "echo:", transform.Chain{twice}, transform.Chain{twice}, "aaaabbbbcccc"},
		{"there and back", "echo:", chain(t, "gzip,gunzip"), chain(t, "gzip,gunzip"), "abc"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			leak.Check(t)
			s, log := start(t, Config{To: address(t, tt.to), Up: tt.up, Down: tt.down})
			c := dial(t, s.Addrs()[0])
			send(t, c, "abc")
			finish(t, c)
			wantText(t, c, tt.answer)
			wantEOF(t, c)
			wantBytes(t, log.wantEnd(t, EOF, Client), 3, int64(len(tt.answer)))
		})
	}
}

// Who of two that end well was first.
func TestFirstCloser(t *testing.T) {
	leak.Check(t)
	u := listen(t)
	s, log := start(t, Config{To: u.addr})

	c := dial(t, s.Addrs()[0])
	up := u.accept(t)
	finish(t, c)
	wantEOF(t, up)
	finish(t, up)
	wantEOF(t, c)
	log.wantEnd(t, EOF, Client)

	c = dial(t, s.Addrs()[0])
	up = u.accept(t)
	finish(t, up)
	wantEOF(t, c)
	finish(t, c)
	wantEOF(t, up)
	log.wantEnd(t, EOF, Upstream)
}

// A reset is passed on as one, from either side, and is the reason.
func TestResets(t *testing.T) {
	for _, stages := range []transform.Chain{nil, chain(t, "gzip,gunzip")} {
		t.Run(stages.String(), func(t *testing.T) {
			leak.Check(t)
			u := listen(t)
			s, log := start(t, Config{To: u.addr, Up: stages, Down: stages})

			c := dial(t, s.Addrs()[0])
			up := u.accept(t)
			send(t, c, "to the upstream")
			wantText(t, up, "to the upstream")
			reset(c)
			wantReset(t, up)
			wantBytes(t, log.wantEnd(t, ResetClient, Client), 15, 0)

			c = dial(t, s.Addrs()[0])
			up = u.accept(t)
			send(t, up, "to the client")
			wantText(t, c, "to the client")
			reset(up)
			wantReset(t, c)
			wantBytes(t, log.wantEnd(t, ResetUpstream, Upstream), 0, 13)
		})
	}
}

// A stage that fails is nobody's end: what came out of it before is delivered,
// then both sides are reset.
func TestStageFails(t *testing.T) {
	errBroken := errors.New("broken")
	fails := map[string]func() error{
		"error": func() error { return errBroken },
		"panic": func() error { panic(errBroken) },
	}
	for name, fail := range fails {
		t.Run(name+"/up", func(t *testing.T) {
			leak.Check(t)
			u := listen(t)
			s, log := start(t, Config{To: u.addr, Up: transform.Chain{failing(4, fail)}})
			c := dial(t, s.Addrs()[0])
			up := u.accept(t)
			send(t, c, "good bad")
			wantText(t, up, "good")
			wantReset(t, up)
			wantReset(t, c)
			wantStageError(t, log, "failing")
		})
		t.Run(name+"/down", func(t *testing.T) {
			leak.Check(t)
			u := listen(t)
			s, log := start(t, Config{To: u.addr, Down: transform.Chain{failing(4, fail)}})
			c := dial(t, s.Addrs()[0])
			up := u.accept(t)
			send(t, up, "good bad")
			wantText(t, c, "good")
			wantReset(t, c)
			wantReset(t, up)
			wantStageError(t, log, "failing")
		})
	}
}

func wantStageError(t *testing.T, log lines, stage string) {
	t.Helper()
	end := log.wantEnd(t, StageFailed, Us)
	err, _ := end["err"].Any().(error)
	var failed *transform.Error
	if !errors.As(err, &failed) || failed.Stage != stage {
		t.Errorf("err is %v: it should be that of stage %s", err, stage)
	}
}

// The client's FIN is no clean end for a stream that lacks its own: the upstream
// must not take the half for the whole.
func TestTruncatedStream(t *testing.T) {
	leak.Check(t)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	io.WriteString(w, "half of it")
	w.Flush()
	u := listen(t)
	s, log := start(t, Config{To: u.addr, Up: chain(t, "gunzip")})
	c := dial(t, s.Addrs()[0])
	up := u.accept(t)
	send(t, c, packed.String())
	finish(t, c)
	wantText(t, up, "half of it")
	wantReset(t, up)
	wantReset(t, c)
	wantStageError(t, log, "gunzip")
}

// A stage's bytes go to the upstream while the client reads nothing, and what is
// then under way both ways ends by itself: neither direction waits for the other.
func TestDirectionsAreIndependent(t *testing.T) {
	leak.Check(t)
	u := listen(t)
	s, log := start(t, Config{To: u.addr, Up: chain(t, "gzip,gunzip")})
	c := dial(t, s.Addrs()[0])
	up := u.accept(t)
	const n = 8 << 20 // more than the kernel buffers here
	down := strings.Repeat("d", n)
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(up, down)
		if err == nil {
			err = up.CloseWrite()
		}
		sent <- err
	}()
	send(t, c, "up")
	wantText(t, up, "up")
	send(t, c, "up again")
	finish(t, c)
	wantText(t, up, "up again")
	wantEOF(t, up)
	wantText(t, c, down)
	wantEOF(t, c)
	if err := <-sent; err != nil {
		t.Error(err)
	}
	wantBytes(t, log.wantEnd(t, EOF, Client), 10, n)
}
