//go:build race

package tests

// raced says whether the race detector is on. With it each byte takes ten times as
// long.
const raced = true

// volume is several times what all buffers on a way hold: .ci/run has the whole of it
// without the race detector.
const volume = 16 << 20
