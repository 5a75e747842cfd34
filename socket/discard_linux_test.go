package socket

import (
	"testing"

	"relayd/lifetime"
)

// What is thrown away off a TCP connection stays in the kernel: not a byte of it
// is copied.
func TestDiscardCopiesNothing(t *testing.T) {
	for _, text := range []string{"127.0.0.1:0", "[::1]:0"} {
		s, peer := connect(t, text, lifetime.Refcount)
		bytes := new(buffer)
		for i := range bytes {
			bytes[i] = 'x'
		}
		if _, err := peer.Write(bytes[:]); err != nil {
			t.Fatal(err)
		}
		peer.CloseWrite()
		landed := new(buffer)
		buffers = bufferPool{}
		buffers.p.New = func() any { return landed }
		d := discarder{t: s.t}
		n := 0
		for {
			m, err := d.next()
			if err != nil {
				break
			}
			n += m
		}
		buffers = bufferPool{}
		buffers.p.New = newBuffer
		if n != len(bytes) {
			t.Errorf("%d bytes were thrown away, of %d", n, len(bytes))
		}
		if *landed != (buffer{}) {
			t.Error("they were copied first")
		}
		peer.Close()
		drop(t, s.dropOnly)
		within(t, s.node.Done(), "the release")
	}
}
