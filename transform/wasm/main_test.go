package wasm

import (
	"testing"

	"relayd/tests/leak"
	"relayd/transform"
)

func TestMain(m *testing.M) {
	transform.Register(Stage())
	leak.Main(m)
}
