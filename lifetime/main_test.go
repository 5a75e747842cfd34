package lifetime_test

import (
	"fmt"
	"os"
	"testing"

	"relayd/lifetime"
	"relayd/tests/leak"
)

// TestMain also proves that the tests have left no resource.
func TestMain(m *testing.M) {
	if status := (leak.M{M: m}).Run(); status != 0 {
		os.Exit(status)
	}
	left := lifetime.Snapshot(nil)
	for _, i := range left {
		fmt.Fprintf(os.Stderr, "left behind: %s, %v, %d children, %d operations\n", i.Name, i.State, i.Children, i.Operations)
	}
	if len(left) > 0 {
		os.Exit(1)
	}
}
