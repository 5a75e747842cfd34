// Package transform holds the stages of a byte stream: compress, decompress,
// and whatever else changes bytes on their way through a relay.
//
// # The model
//
// A stage is pull: it is given a source to read from, and is itself read from.
// A chain is stages in the order in which the bytes meet them, which makes it a
// nest of readers. Nothing moves unless somebody reads at its end:
//
//	                a Read travels this way
//	 ◄─────────────────────────────────────────────────────
//	src ──────► gunzip ──────► … ──────► gzip ──────► pump
//	 ─────────────────────────────────────────────────────►
//	                bytes travel this way
//
// So a chain has no goroutine of its own, needs no queue between its stages,
// and stalls its source by not being read. A panic in a stage is turned into
// that stage's error; the goroutine that reads goes on.
//
// # What a stage promises
//
// Interactive traffic is never held back. A stage that gathers bytes (a
// compressor) hands out what it has as soon as its source has nothing more at
// hand. It asks the source with [Readier]; a source that is no Readier is
// taken to have nothing more at hand, ever. So one byte in is that byte out,
// before the next byte is read.
//
// Ready is a promise in one direction: true means that a Read does not wait,
// false means that it may. A decompressor cannot know what the bytes that it
// holds will turn into, and says true for decoded bytes only. Nor can it hand
// out what a sender has not flushed: it wants a flush behind each message, as
// the encoders here make them.
//
// An end is an end, and an error is never one. When the source ends, the rest
// of the output comes out and then io.EOF. When the source fails, what was read
// before the failure comes out, and then the source's own error, unchanged: the
// same value. A stream that stops before its end (a gzip stream without its
// trailer) is an [*Error] around [io.ErrUnexpectedEOF]. After io.EOF or an
// error, every further Read returns the same again. A decoder that is given
// another format says which, and which stage reads it.
//
// A silent stream holds little. What is dear, an encoder or a decoder, is only
// held inside a frame of the format, where what comes next may refer to what
// came before. So an encoder ends its frame after some silence, which its source
// tells it of if that is a [Waiter], and begins another one when there is more;
// the decoder at the other end, which has seen the frame end, lets go as well.
//
// Memory is bounded, also against hostile input: [Stages] says by how much.
// Output is made when it is asked for, so a small input that unpacks to
// gigabytes costs time to whoever reads it, and no memory.
//
// # Who calls, who closes
//
// Read, Ready and Close of a chain belong to one goroutine. Nobody
// closes a chain to wake it: its source is made to fail first (a socket half
// is dropped or interrupted), so that the Read in flight returns, and then the
// same goroutine closes the chain. Close never closes the source, may be
// called at any moment between two Reads, and twice.
//
// # Programs and modules
//
// The stage exec runs a program, and wasm, which is a package of its own, a
// WebAssembly module. They cannot be pulled: a goroutine of the stage reads
// the source and pushes, ahead of what is asked for and no further than the other
// side takes; Close waits for it. So these differ:
//
//   - Whoever makes the source fail calls [Site.Cut], too: while the program takes
//     nothing, nobody is reading the source.
//   - When the source fails, the program is told (on Linux its next read after
//     what came before fails with ECONNRESET) and has its grace to bring that out
//     and to end. Then the source's error comes.
//   - A program that ends before its input does ends the stream; what it has not
//     read is lost, and the source is not read any more. One that only closes its
//     standard input has what comes then thrown away.
//   - It has ended when its output has: when the last that holds it open closes
//     it, or when it was silent for a grace after the program's exit. A program
//     that has ended its output has its grace to exit. An exit code that is not
//     zero is then the stage's error, with the last line of standard error.
//
// # Writing a stage down
//
// A stage is written as a name, or as a name and options: gzip, gzip:level=9.
// A stage with a main option takes its value without its key: exec:cat.
// [ParseStage] reads that form, [Stage.String] writes it back in one canonical
// spelling, [Stages] lists what there is. [NewStage] makes a stage that is not
// in the list out of a function.
package transform
