package tests

import (
	"os"
	"testing"

	"relayd/tests/leak"
	"relayd/transform"
	"relayd/transform/wasm"
)

func TestMain(m *testing.M) {
	os.Setenv("RELAYD_ADMIN", "none") // relayds run side by side
	transform.Register(wasm.Stage())
	leak.Main(m)
}
