package socket

import (
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkPipePool takes a pipe from the pool and puts it back.
func BenchmarkPipePool(b *testing.B) {
	var pool pipePool
	defer pool.trimIdle()
	b.ReportAllocs()
	for b.Loop() {
		p := pool.get()
		if p == nil {
			b.Fatal("no pipes here")
		}
		pool.put(p)
	}
}

// BenchmarkMover moves a message from a socket to another.
func BenchmarkMover(b *testing.B) {
	for _, size := range []int{64, 16 << 10} {
		b.Run(sizeName(size), func(b *testing.B) {
			in, out := benchPair(b), benchPair(b)
			message, answer := make([]byte, size), make([]byte, size)
			var m mover
			var scratch buffer
			k := kernel{}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				k.write(in[0], message)
				m.pull(k, in[1], &scratch, nil)
				m.push(k, out[0])
				k.read(out[1], answer)
			}
		})
	}
}

func sizeName(n int) string {
	if n < 1<<10 {
		return "64B"
	}
	return "16kB"
}

func benchPair(b *testing.B) [2]int {
	pair, err := streamPair()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		unix.Close(pair[0])
		unix.Close(pair[1])
	})
	return pair
}

// BenchmarkLoopWake is a message to a loop that sleeps, and back.
func BenchmarkLoopWake(b *testing.B) {
	ls, err := StartLoops(1)
	if err != nil {
		b.Fatal(err)
	}
	defer ls.Wait()
	defer ls.Stop()
	v := make(bell)
	b.ReportAllocs()
	for b.Loop() {
		ls.list[0].post(v)
		<-v
	}
}

// A bell rings when a loop has seen it.
type bell chan struct{}

func (b bell) visit(*Loop) { b <- struct{}{} }
