// Package wasm is the stage that runs a stream through a WebAssembly module.
//
// The module is a WASI preview 1 command: it has a function _start, reads its
// standard input and writes its standard output, as a program does. What most
// toolchains call wasm32-wasi or wasip1 makes such modules; testdata has one in
// C and one in Go, with the commands that built them.
//
// # What a module can do
//
// Read its input, write its output, compute, know the time, sleep, and take
// random bytes. It sees no file, no network, and no variable or argument but
// those that the stage's options grant. Its standard error goes to the log, line
// by line.
//
// Its memory is bounded: by the option memory, and by as much again for its tables
// of functions, which do not grow further. Calls inside of calls end with a trap
// when their stack has some 50 to 100 MB. What a file announces is not believed: it
// is looked at before it is compiled, and must have what it says that it has.
//
// A module is compiled once for each content of its file (and each of the
// options memory and trusted), when the stage is parsed: a file that cannot be
// used is an error then. What was compiled stays while a stage refers to it;
// a file that changes later is not looked at again. Each stream has an instance of
// its own, from its first Read to its end.
//
// # How it ends
//
// An instance that exits with 0, or returns, ends the stream. Another exit code
// or a trap is the stage's error. When the source has failed, the module's next
// read after all that came before fails with EIO, and it has two seconds to end.
// One that is closed or cut is ended at once, also while it computes, reads,
// writes or sleeps. What looks for that makes tight loops 4 to 20 times slower;
// trusted=true does without, and then a module that neither reads nor writes nor
// ends holds its stream, and the Close of it, for ever.
package wasm
