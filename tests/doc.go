// Package tests holds what is tested from outside of any one package: relayd as
// a whole on real sockets, against real programs, and the rules of this house.
//
// A house rule is a function from a tree (all of the project's files) to a
// list of complaints. Its test runs it over the project, and over small planted
// trees with known violations, so that a rule that has gone blind fails too.
//
//	layers_test.go  who may import whom, and what lies at the top
//	docs_test.go    package comments and doc comments
//	format_test.go  gofmt, and the same care for what gofmt does not read
//	rules_test.go   goroutines, exits, sleeps, skips, copies, sizes
//	api_test.go     descriptors stay in package socket
//
// Sub-packages are helpers for the tests of every package; tests of the program
// under load (load), beside HAProxy and with targets that die (service) and of all
// at once (chaos); and bench, a command that measures relayd beside other relays:
// go run ./tests/bench.
package tests
