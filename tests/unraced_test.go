//go:build !race

package tests

// raced says whether the race detector is on.
const raced = false

// volume is many times what all buffers on a way hold.
const volume = 64 << 20
