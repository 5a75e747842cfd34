//go:build !linux

package notify

// monotonic has no value: only systemd asks for it.
func monotonic() (usec int64, ok bool) { return 0, false }
