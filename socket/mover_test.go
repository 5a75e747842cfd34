package socket

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
)

// A fakeKernel answers in the kernel's place, at random: nothing now, a part, or
// all; and with an error where the test wants one. Descriptor 1 is the source,
// descriptor 2 the destination.
type fakeKernel struct {
	rnd     *rand.Rand
	source  []byte
	piped   []byte
	sink    bytes.Buffer
	calls   int
	failAt  int // the call that fails; 0 for none
	errno   syscall.Errno
	noPipes bool // splice is not possible
	limit   int  // bytes at once, at most
}

// some returns how many of n bytes pass now, or an error.
func (k *fakeKernel) some(n int) (int, syscall.Errno) {
	k.calls++
	if k.calls == k.failAt {
		return 0, k.errno
	}
	switch k.rnd.IntN(4) {
	case 0:
		return 0, syscall.EAGAIN
	case 1:
		return 1 + k.rnd.IntN(min(n, k.limit)), 0
	}
	return min(n, k.limit), 0
}

func (k *fakeKernel) read(fd int, p []byte) (int, syscall.Errno) {
	if fd != 1 {
		panic("read from the destination")
	}
	if len(k.source) == 0 {
		return 0, 0
	}
	n, errno := k.some(min(len(p), len(k.source)))
	copy(p, k.source[:n])
	k.source = k.source[n:]
	return n, errno
}

func (k *fakeKernel) write(fd int, p []byte) (int, syscall.Errno) {
	if fd != 2 || len(p) == 0 {
		panic(fmt.Sprintf("write of %d bytes to %d", len(p), fd))
	}
	n, errno := k.some(len(p))
	k.sink.Write(p[:n])
	return n, errno
}

func (k *fakeKernel) spliceIn(fd, pipe, n int) (int, syscall.Errno) {
	if k.noPipes {
		return 0, syscall.EINVAL
	}
	if len(k.source) == 0 {
		return 0, 0
	}
	if len(k.piped) > 0 {
		panic("splice into a pipe that holds something")
	}
	n, errno := k.some(min(n, len(k.source)))
	k.piped = append(k.piped, k.source[:n]...)
	k.source = k.source[n:]
	return n, errno
}

func (k *fakeKernel) spliceOut(pipe, fd, n int) (int, syscall.Errno) {
	if n != len(k.piped) {
		panic(fmt.Sprintf("splice of %d bytes out of a pipe that holds %d", n, len(k.piped)))
	}
	n, errno := k.some(n)
	k.sink.Write(k.piped[:n])
	k.piped = k.piped[n:]
	return n, errno
}

// fakePipes is a pool with one pipe, of no descriptors.
func fakePipes() *pipePool {
	return &pipePool{idle: []*pipe{{r: -1, w: -1, size: pipeFair}}, open: 1}
}

// move drives m as a loop does, with a buffer that is used again and again.
func move(k calls, m *mover, pool *pipePool) (out int, o outcome, errno syscall.Errno) {
	var scratch buffer
	for {
		if m.holding() == 0 {
			_, _, o, errno = m.pull(k, 1, &scratch, pool)
		} else {
			var n int
			n, o, errno = m.push(k, 2)
			out += n
		}
		switch o {
		case atEnd, failed:
			return out, o, errno
		case wantWrite:
			m.own(&scratch)
			clear(scratch[:]) // others use it meanwhile
		}
	}
}

// Every byte arrives once and in order, however the kernel cuts the stream.
func TestMoverKeepsTheStream(t *testing.T) {
	data := make([]byte, 400<<10)
	rand.NewChaCha8([32]byte{1}).Read(data)
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			k := &fakeKernel{rnd: rnd, source: data, noPipes: seed%5 == 4, limit: []int{1 << 20, 100 << 10, 20 << 10, 3000}[seed%4]}
			if k.limit == 3000 {
				k.source = data[:100<<10]
			}
			want := k.source
			pool := fakePipes()
			var m mover
			out, o, errno := move(k, &m, pool)
			if o != atEnd || errno != 0 {
				t.Fatalf("the end is %v, %v", o, errno)
			}
			if !bytes.Equal(k.sink.Bytes(), want) || out != len(want) {
				t.Errorf("%d bytes came out, %d were counted, of %d; or not the same ones", k.sink.Len(), out, len(want))
			}
			if lost := m.discard(pool); lost != 0 {
				t.Errorf("%d bytes are held at the end", lost)
			}
			pool.mu.Lock()
			defer pool.mu.Unlock()
			if len(pool.idle) != pool.open { // it may have been trimmed
				t.Errorf("%d of %d pipes are back", len(pool.idle), pool.open)
			}
		})
	}
}

// An error at any call ends the stream with that error; what came out before is
// its beginning, what was lost is counted, and no pipe with bytes in it is used
// again.
func TestMoverFailsAnywhere(t *testing.T) {
	data := make([]byte, 400<<10)
	rand.NewChaCha8([32]byte{2}).Read(data)
	inPipe := 0
	for failAt := 1; failAt < 120; failAt++ {
		k := &fakeKernel{rnd: rand.New(rand.NewPCG(uint64(failAt), 1)), source: data, limit: 100 << 10, failAt: failAt, errno: syscall.ECONNRESET}
		pool := fakePipes()
		var m mover
		_, o, errno := move(k, &m, pool)
		if o == atEnd && k.calls < failAt {
			continue // it was through before
		}
		if o != failed || errno != syscall.ECONNRESET {
			t.Fatalf("call %d: the end is %v, %v", failAt, o, errno)
		}
		got := k.sink.Len()
		if !bytes.Equal(k.sink.Bytes(), data[:got]) {
			t.Fatalf("call %d: what came out is not the beginning", failAt)
		}
		piped := len(k.piped) > 0
		if lost := m.discard(pool); lost != len(data)-len(k.source)-got {
			t.Errorf("call %d: %d bytes are said to be lost, %d were read and %d written", failAt, lost, len(data)-len(k.source), got)
		}
		if piped {
			inPipe++
			if pool.open != 0 {
				t.Errorf("call %d: a pipe with bytes in it is back in the pool", failAt)
			}
		}
	}
	if inPipe == 0 {
		t.Error("no error came while a pipe held bytes: the test tries nothing")
	}
}

// Bulk is spliced, and small messages are copied.
func TestMoverAdapts(t *testing.T) {
	k := &fakeKernel{rnd: rand.New(rand.NewPCG(3, 3)), limit: 1 << 20}
	pool := fakePipes()
	var m mover
	feed := func(n int) {
		k.source = make([]byte, n)
		for len(k.source) > 0 || m.holding() > 0 {
			if m.holding() > 0 {
				m.push(k, 2)
				continue
			}
			var scratch buffer
			m.pull(k, 1, &scratch, pool)
			m.own(&scratch)
		}
	}
	feed(100)
	if m.bulk {
		t.Error("a small message began splicing")
	}
	feed(3 * bufferSize)
	if !m.bulk {
		t.Error("a full buffer did not")
	}
	for range 2 * smallRun {
		feed(100)
	}
	if m.bulk {
		t.Error("small messages did not end it")
	}
}
