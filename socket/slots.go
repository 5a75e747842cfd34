package socket

// Slots are where events lead: a loop's table of its connections, by number. It
// grows by chunks, and what is in it does not move: doubling it would leave as
// much memory behind as it has, which is felt where connections are idle.
type slots struct {
	chunks []*[slotChunk]slot
	used   int32   // numbers given out so far; the first is nobody's
	free   []int32 // those that were given back
}

const slotChunk = 512

// A slot is where an event leads. Its generation tells an event of a
// predecessor, which was under way when that one went, from its own.
type slot struct {
	t          *kernelTransport
	generation int32
}

// at returns the slot of a number that was given out.
func (s *slots) at(n int32) *slot { return &s.chunks[n/slotChunk][n%slotChunk] }

// assign gives t a slot.
func (s *slots) assign(t *kernelTransport) int32 {
	n := max(1, s.used)
	if last := len(s.free) - 1; last >= 0 {
		n = s.free[last]
		s.free = s.free[:last]
	} else {
		s.used = n + 1
		if int(n/slotChunk) == len(s.chunks) {
			s.chunks = append(s.chunks, new([slotChunk]slot))
		}
	}
	s.at(n).t = t
	return n
}

// vacate takes it back.
func (s *slots) vacate(n int32) {
	s.at(n).t = nil
	s.at(n).generation++
	s.free = append(s.free, n)
}
