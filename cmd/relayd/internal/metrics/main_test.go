package metrics

import (
	"os"
	"testing"

	"relayd/tests/leak"
)

func TestMain(m *testing.M) {
	if os.Getenv(peerVariable) != "" {
		runPeer()
		return
	}
	leak.Main(m)
}
