package conformance

import (
	"os"
	"strings"
)

// kernelVersion returns what uname -r prints.
func kernelVersion() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}
