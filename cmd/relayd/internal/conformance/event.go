package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"relayd/lifetime"
	"relayd/socket"
)

// An event is something that happens in a script.
type event struct {
	text   string
	run    func(context.Context, *scene) string
	inside func(*scene) bool // it has begun to wait
	quick  bool              // it never waits
}

// The events. P, R, W and C are the parts of a scene.
var (
	acquireR = event{"take R", takeR, nil, true}
	acquireW = event{"take W", takeW, nil, true}
	besideC  = event{"C beside R", takeC, nil, true}

	dropP    = event{"drop P", drops('P'), dropping, false}
	dropP2   = event{"drop P again", drops('P'), dropping, false}
	dropR    = event{"drop R", drops('R'), nil, false}
	dropR2   = event{"drop R again", drops('R'), nil, false}
	dropW    = event{"drop W", drops('W'), nil, false}
	dropC    = event{"drop C", drops('C'), nil, false}
	expireP  = event{"P's context ends", expire("drop P"), nil, true}
	expireFP = event{"P's context ends", expire("finish P"), nil, true}

	useP    = event{"use P", uses('P'), nil, true}
	useR    = event{"use R", uses('R'), nil, true}
	useC    = event{"use C", uses('C'), nil, true}
	readR   = event{"read R", reads, busy('R'), false}
	writeW  = event{"write W", writes(6), busy('W'), false}
	writeL  = event{"write W a lot", writes(16 << 20), busy('W'), false}
	writeE  = event{"write W until it fails", writeUntilError, busy('W'), false}
	finishP = event{"finish P", finishes, closing, false}
	shutP   = event{"shut P down", shutsDown, closing, false}

	peerSends  = event{"peer sends", sends(6), nil, false}
	peerFloods = event{"peer sends a lot", sends(16 << 20), nil, false}
	peerFIN    = event{"peer finishes", peerFinishes, nil, true}
	peerRST    = event{"peer resets", peerResets, nil, true}
	peerReads  = event{"peer reads on", peerTakes, nil, false}
	peerEnd    = event{"peer reads to the end", peerSees, nil, false}

	endP = event{"P's end", ends('P'), nil, true}
	endR = event{"R's end", ends('R'), nil, true}
	endW = event{"W's end", ends('W'), nil, true}
)

func takeR(_ context.Context, s *scene) string {
	r, err := s.l.receive()
	if err == nil {
		s.r = r
	}
	return s.c.word(err)
}

func takeW(_ context.Context, s *scene) string {
	w, err := s.l.send()
	if err == nil {
		s.w = w
	}
	return s.c.word(err)
}

// takeC makes C a sibling of R, from R, whether or not R's owner may still.
func takeC(_ context.Context, s *scene) string {
	return s.c.word(stageKind.InitBeside(&s.stage, s.r.Resource(), s.policy.policy()))
}

// drops is a drop, with what it left behind.
func drops(letter byte) func(context.Context, *scene) string {
	return func(ctx context.Context, s *scene) string {
		var left lifetime.Left
		var err error
		switch {
		case letter == 'P' && s.l.sock != nil:
			left, err = s.l.sock.Drop(ctx)
		case letter == 'R':
			err = s.r.Drop(ctx)
		case letter == 'W':
			err = s.w.Drop(ctx)
		default:
			left, err = s.node(letter).Drop(ctx)
		}
		if errors.Is(err, lifetime.ErrHoldersAlive) {
			return "alive " + letters(strings.FieldsFunc(err.Error(), isBetween))
		}
		if err == nil && left.Children > 0 {
			return "left " + letters(left.Names())
		}
		return s.c.word(err)
	}
}

func isBetween(r rune) bool { return r == ' ' || r == ',' }

func dropping(s *scene) bool { return s.l.p.State() == lifetime.Dropping }
func closing(s *scene) bool {
	st := s.l.p.State()
	return st == lifetime.Closing || st == lifetime.Draining
}

// busy reports whether an operation is inside a half.
func busy(letter byte) func(*scene) bool {
	return func(s *scene) bool {
		n := s.node(letter)
		for _, i := range lifetime.Snapshot(n) {
			if i.ID == n.ID() && i.Operations > 0 {
				return true
			}
		}
		return false
	}
}

// expire ends the context of an earlier event.
func expire(text string) func(context.Context, *scene) string {
	return func(_ context.Context, s *scene) string {
		for _, k := range s.pending {
			if k.event.text == text {
				k.cancel()
			}
		}
		return "ok"
	}
}

// uses is an operation that does not wait.
func uses(letter byte) func(context.Context, *scene) string {
	return func(_ context.Context, s *scene) string {
		n := s.node(letter)
		err := n.Enter()
		if err == nil {
			n.Leave()
		}
		return s.c.word(err)
	}
}

// reads is one Read.
func reads(_ context.Context, s *scene) string {
	n, err := s.r.Read(make([]byte, 64))
	switch {
	case n > 0 && err == nil:
		return "data"
	case n > 0:
		return fmt.Sprintf("%d bytes and %v", n, err)
	}
	return s.c.word(err)
}

// zeros is what is written and sent. Nobody changes it.
var zeros [16 << 20]byte

// writes is one Write of n bytes.
func writes(n int) func(context.Context, *scene) string {
	return func(_ context.Context, s *scene) string {
		m, err := s.w.Write(zeros[:n])
		s.wrote += m
		if err == nil && m != n {
			return fmt.Sprintf("%d of %d bytes and no error", m, n)
		}
		return s.c.word(err)
	}
}

// writeUntilError writes until the peer's reset has arrived.
func writeUntilError(ctx context.Context, s *scene) string {
	for ctx.Err() == nil {
		if _, err := s.w.Write(zeros[:1]); err != nil {
			return s.c.word(err)
		}
	}
	return "no error"
}

func finishes(ctx context.Context, s *scene) string {
	r, err := s.l.p.Finish(ctx, errCell)
	if err == nil && (r.State != lifetime.Released || r.Cause != errCell) {
		return fmt.Sprintf("report %v, cause %v", r.State, r.Cause)
	}
	// Whether it returns before the last reader has left is a race.
	if errors.Is(err, lifetime.ErrHoldersAlive) || err == nil && r.End == lifetime.ShutDown {
		return "cut"
	}
	return s.c.word(err)
}

func shutsDown(ctx context.Context, s *scene) string {
	r, err := s.l.shutdown(ctx, errCell)
	if err != nil {
		return s.c.word(err)
	}
	if why := s.c.proof(r, s.c.proven()); why != "" {
		return why
	}
	return "report"
}

// sends is the peer's write. A reset that came first is no matter of ours.
func sends(n int) func(context.Context, *scene) string {
	return func(_ context.Context, s *scene) string {
		m, err := s.l.peer.Write(zeros[:n])
		if err != nil && !socket.IsReset(err) {
			return fmt.Sprintf("%d of %d bytes: %v", m, n, err)
		}
		return "ok"
	}
}

func peerFinishes(_ context.Context, s *scene) string {
	s.peerGone = true
	s.l.peer.CloseWrite()
	return "ok"
}

func peerResets(_ context.Context, s *scene) string {
	s.peerGone = true
	s.l.peer.reset()
	return "ok"
}

// peerTakes reads what a write that waits is about to send, and no more.
func peerTakes(_ context.Context, s *scene) string {
	buf := make([]byte, 64<<10)
	for left := len(zeros); left > 0; {
		n, err := s.l.peer.Read(buf[:min(len(buf), left)])
		s.got += n
		left -= n
		if err != nil {
			return s.c.word(err)
		}
	}
	return "ok"
}

// peerSees reads to the end, and says which it was.
func peerSees(_ context.Context, s *scene) string {
	n, err := readAll(s.l.peer, make([]byte, 64<<10))
	s.got += n
	switch {
	case err == nil && s.got == s.wrote:
		return "FIN"
	case err == nil:
		return fmt.Sprintf("FIN after %d of %d bytes", s.got, s.wrote)
	case socket.IsReset(err):
		return "RST"
	}
	return err.Error()
}

// readAll reads to the end, and returns how much came. Io.EOF is nil.
func readAll(r io.Reader, buf []byte) (total int, err error) {
	for {
		n, err := r.Read(buf)
		total += n
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// ends is how a resource says that it ended.
func ends(letter byte) func(context.Context, *scene) string {
	return func(_ context.Context, s *scene) string { return s.node(letter).End().String() }
}
