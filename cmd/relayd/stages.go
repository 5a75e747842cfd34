package main

import (
	"relayd/transform"
	"relayd/transform/wasm"
)

// The stages that are packages of their own, because they link much. Those of
// package transform are known without.
func init() {
	transform.Register(wasm.Stage())
}
