// Package leak finds what tests leave behind: goroutines and file descriptors.
//
// relayd's promise is that everything it opens is closed again, so every test
// binary proves it about itself. A package's TestMain is
//
//	func TestMain(m *testing.M) { leak.Main(m) }
//
// and [Check] asks the same of a single test, where the culprit is easier to
// see. Both note what exists before, and afterwards name whatever is new: a
// goroutine by its stack, a descriptor by what it refers to (for a socket also
// its two addresses). What was there before is nobody's leak, and neither is
// what the Go runtime and the testing package keep for themselves: the network
// poller, the goroutine that waits for signals, files of -cpuprofile and
// -trace.
//
// [Processes] wants the processes of a test to be gone.
//
// Ends are asynchronous. A goroutine that has been told to stop may need a
// moment, so what is found is looked at again for up to five seconds before it
// counts. Something that only the garbage collector would close is a leak.
//
// Packages that leak itself imports have their TestMain in their external test
// package (package x_test), as anything else is an import cycle.
package leak
