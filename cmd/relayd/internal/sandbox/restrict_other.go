//go:build !linux

package sandbox

// Version returns the version of the kernel's Landlock: 0.
func Version() int { return 0 }

// restrict has nothing to restrict with.
func restrict([]grant) (version int, why string, err error) {
	return 0, "this system has no Landlock", nil
}
