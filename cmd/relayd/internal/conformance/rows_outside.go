package conformance

// outsideRows are section F: leaks, panics, peers and daemons.
var outsideRows = []row{
	{number: 40, group: 'F', title: "R's handle is lost to the garbage collector",
		says: [columns]string{
			"reported with the place where it was made, then dropped",
			"it counts as a live child: P's drop traps",
			"P's drop closes it",
			"P's drop waits until the loss is reported and dropped",
			"ended like any other"},
		run: loseHandle, forced: loseThenShut},
	{number: 41, group: 'F', title: "R sits in a channel that nobody reads",
		says: [columns]string{
			"it stays open and can be listed by name; when the grace after P's drop ends, it is shut down",
			"P's drop fails and names it",
			"closed at P's drop",
			"P's drop waits for its context, and then names it",
			"ended like any other"},
		run: parkHandle, forced: parkThenShut},
	{number: 42, group: 'F', title: "a stage that has W panics",
		says: same("its deferred abort resets: the peer never sees a clean end of a stream that was cut", "proven gone, or gone before"),
		run:  stagePanics, forced: stagePanicsThenShut},
	{number: 43, group: 'F', title: "a relay's other socket dies",
		says: same("an end is passed on as an end, a reset as a reset", "both sides end"),
		skip: func(column, kind) string {
			return "two sockets make a relay: TestUpstreamResetInTheMiddle, TestClientResetInTheMiddle and TestHalfClose in tests/ run it"
		}},
	{number: 44, group: 'F', title: "the daemon ends while connections live",
		says: [columns]string{
			"it waits for a deadline, then shuts down",
			"all are aborted",
			"all are closed",
			"it waits for a deadline, then shuts down",
			"all are gone before it exits"},
		skip: func(column, kind) string {
			return "it takes a daemon: TestDrainDeadlineCuts in tests/ and the script drain-timeout-exit-3 run it"
		}},
	{number: 45, group: 'F', title: "a peer that reads nothing, and everything is dropped",
		says: same("FIN is queued, the socket drains for as long as there is progress; after two seconds without it is reset, and what was lost is counted", "what is lost is counted in the report"),
		run:  slowPeer, forced: slowPeerShut, slow: true},
	{number: 46, group: 'F', title: "the peer resets, Write meets it first, then R reads",
		says: same("both are told reset; a reset is never taken for an end", "proven gone, or gone before"),
		run:  resetNotEnd, forced: resetThenShut,
		skip: noReset},
	{number: 47, group: 'F', title: "our own shutdown while R waits in Read",
		says: same("Read is told shut down, and not that the peer has reset", "the column is the row"),
		run:  ownShutdown},
}
