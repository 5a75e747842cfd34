//go:build !linux

package chaos

import "math/rand/v2"

// exhaustPipes does nothing: only Linux splices.
func exhaustPipes(*episode, *rand.Rand) int { return 0 }

// becomeOrdinary has nothing to give up.
func becomeOrdinary() {}
