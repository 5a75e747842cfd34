package transform

import "container/heap"

// idleBuckets are those without a stream, the one that is full first in front: a
// heap.
type idleBuckets []*sourceBucket

func (h *idleBuckets) add(b *sourceBucket)    { heap.Push(h, b) }
func (h *idleBuckets) remove(b *sourceBucket) { heap.Remove(h, b.at) }

// Len is for package heap.
func (h idleBuckets) Len() int { return len(h) }

// Less is for package heap.
func (h idleBuckets) Less(i, j int) bool { return h[i].full.Before(h[j].full) }

// Swap is for package heap.
func (h idleBuckets) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push is for package heap.
func (h *idleBuckets) Push(x any) {
	b := x.(*sourceBucket)
	b.at = len(*h)
	*h = append(*h, b)
}

// Pop is for package heap.
func (h *idleBuckets) Pop() any {
	old := *h
	last := len(old) - 1
	b := old[last]
	old[last] = nil
	*h = old[:last]
	return b
}
