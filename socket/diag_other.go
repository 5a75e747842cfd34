//go:build !linux

package socket

// A kernelKey names a connection to the kernel. There is no such thing here.
type kernelKey struct{}

func keyOf(int) (kernelKey, string) { return kernelKey{}, "not Linux" }

func (k *kernelKey) lookup() (bool, string)       { return false, "not Linux" }
func (k *kernelKey) state() (KernelState, string) { return Unverified, "not Linux" }
