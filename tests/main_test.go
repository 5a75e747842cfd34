package tests

import (
	"testing"

	"relayd/tests/leak"
	"relayd/transform"
	"relayd/transform/wasm"
)

func TestMain(m *testing.M) {
	transform.Register(wasm.Stage())
	leak.Main(m)
}
