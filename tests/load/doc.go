// Package load holds a test of relayd under many connections: as many at once as
// its descriptors allow, and a great many one after the other. It checks every
// answer, and that relayd's memory and descriptors do not grow with time.
//
//	go test ./tests/load                                                      # a little of it
//	go test ./tests/load -live 9000 -visits 1000000 -day 24h -timeout 2h -v   # what LOAD.md shows
//	go test ./tests/load -run TestVisits -soak 24h -timeout 25h -v            # for as long as that
//
// The clients are in the test's process, relayd and the upstreams each in one of
// their own, with a limit of descriptors. LOAD.md beside this file has the
// figures of a full run.
package load
