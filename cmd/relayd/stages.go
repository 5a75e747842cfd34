package main

import (
	"github.com/spf13/cobra"

	"relayd/transform"
	"relayd/transform/wasm"
)

// The stages that are packages of their own, because they link much. Those of
// package transform are known without.
func init() {
	transform.Register(wasm.Stage())
}

// newStagesCommand is relayd stages.
func newStagesCommand() *cobra.Command {
	c := &cobra.Command{Use: "stages", Short: "Change the stages of a running relay"}
	c.AddCommand(newEditCommands()...)
	return c
}
