//go:build !linux

package conformance

// kernelVersion is not known here.
func kernelVersion() string { return "unknown" }
