package socket

import (
	"io"
	"testing"

	"relayd/lifetime"
	"relayd/tests/leak"
)

// A peer that has said its last word, and reads no more, has ended, and not broken
// off, also for a reader whose other half has met that first: where the end of what
// it sends is nothing that a broken connection could look like.

func TestExecEndAfterABrokenWrite(t *testing.T) {
	s, r, w, _ := runShell(t, "echo enough; exec <&- >&-; exit 0", "10s")
	within(t, s.program().Exited(), "the program's end")
	if _, err := w.Write([]byte("more")); err == nil {
		t.Error("a program that has ended takes more")
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "enough\n" {
		t.Errorf("%q, %v", got, err)
	}
	drop(t, r.Drop, w.Drop, s.dropOnly)
	over(t, s)
}

// The end of a program that was killed by who has given it up is none.
func TestExecNoEndAfterAnAbort(t *testing.T) {
	s, r, w, _ := runShell(t, "echo ready; while :; do sleep 10; done", "1h")
	want(t, r, "ready\n")
	w.Abort()
	if n, err := r.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("%d, %v", n, err)
	}
	drop(t, r.Drop, s.dropOnly)
	over(t, s)
}

func TestStdioEndAfterABrokenPipe(t *testing.T) {
	leak.Check(t)
	s, in, out := stdioPipes(t)
	r, w := halves(t, s)
	out.Close()
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("a pipe without a reader takes more")
	}
	io.WriteString(in, "all")
	in.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != "all" {
		t.Errorf("%q, %v", got, err)
	}
	drop(t, r.Drop, w.Drop, s.dropOnly)
	within(t, s.node.Done(), "the release")
}

func TestTLSEndAfterAReset(t *testing.T) {
	s, peer := connect(t, tlsKind(t), lifetime.Refcount)
	r, w := halves(t, s)
	w.Write([]byte("unread"))
	for s.t.unsent() > 0 {
	}
	peer.Write([]byte("all"))
	peer.(tlsPeer).Conn.CloseWrite()
	peer.(tlsPeer).TCPConn.Close() // with what is unread: a reset
	for err := error(nil); err == nil; {
		_, err = w.Write([]byte("more"))
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "all" {
		t.Errorf("%q, %v", got, err)
	}
	drop(t, r.Drop, w.Drop, s.dropOnly)
	within(t, s.node.Done(), "the release")
}

// What package tls answers after our close_notify, to a key update, is for nobody: it
// does not stand in the outbox as bytes that the peer has not taken. Package tls has
// nothing that asks for one, so the answer is written as it does.
func TestTLSAnswersAfterTheEnd(t *testing.T) {
	s, peer := connect(t, tlsKind(t), lifetime.Refcount)
	r, w := halves(t, s)
	w.Write([]byte("all"))
	drop(t, w.Drop)
	if n, err := (tlsWire{s.t.(*tlsTransport)}).Write([]byte("\x17\x03\x03\x00\x01x")); n != 6 || err != nil {
		t.Errorf("the answer: %d, %v", n, err)
	}
	peer.Write([]byte("more"))
	want(t, r, "more")
	if got, err := io.ReadAll(peer); err != nil || string(got) != "all" {
		t.Errorf("%q, %v", got, err)
	}
	peer.(tlsPeer).Conn.CloseWrite()
	if _, err := io.ReadAll(r); err != nil {
		t.Error(err)
	}
	drop(t, r.Drop, s.dropOnly)
	peer.Close()
	within(t, s.node.Done(), "the release")
	if s.node.End() != lifetime.Dropped {
		t.Errorf("the end is %v, %v", s.node.End(), s.node.Err())
	}
}
