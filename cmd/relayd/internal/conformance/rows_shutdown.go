package conformance

// shutdownRows are section E: shutdown and finish themselves.
var shutdownRows = []row{
	{number: 28, group: 'E', title: "a shutdown races the taking of R",
		says: same("no half is usable once the shutdown has returned: it was refused, or is told shut down", "the column is the row"),
		run:  raceAcquireShutdown},
	{number: 29, group: 'E', title: "a shutdown while Read and Write wait",
		says: same("both are told shut down before it returns; the descriptor is closed, the kernel's connection gone, the peer reset", "after every step as well"),
		scripts: []script{{
			each(acquireR, "ok"),
			each(acquireW, "ok"),
			each(readR, "waits"),
			each(writeL, "waits"),
			each(shutP, "report; read R=shutdown; write W a lot=shutdown; done P R W"),
			each(peerEnd, "RST"),
			each(endR, "shutdown"),
			each(endW, "shutdown"),
			each(endP, "shutdown"),
		}}},
	{number: 30, group: 'E', title: "a shutdown races the last drop",
		says: same("whoever wins, the kernel's connection is gone when the shutdown returns, every time", "the column is the row"),
		run:  raceLastDrop},
	{number: 31, group: 'E', title: "many shutdowns at once, and one later",
		says: same("all return the same report", "the column is the row"),
		run:  raceShutdowns},
	{number: 32, group: 'E', title: "a shutdown while P's drop waits",
		says: [columns]string{block: "the drop returns and says shut down", shutdown: "proven gone at every step"},
		scripts: []script{{
			by(acquireR, "", "", "", "ok"),
			by(dropP, "", "", "", "waits"),
			by(shutP, "", "", "", "report; drop P=shutdown; done P R"),
			by(dropP, "", "", "", "ok"),
		}}},
	{number: 33, group: 'E', title: "P is dropped, R is forgotten, and a shutdown finds P by its id",
		says: [columns]string{
			refcount: "found, and ended; the report lists R as the holder",
			block:    "found, and ended; the drop that waited says so",
			shutdown: "the column is the row"},
		run: shutByID,
		skip: func(c column, _ kind) string {
			switch c {
			case trap:
				return "under trap nothing is left of P and R after the drop"
			case closeChildren:
				return "under close-children nothing is left of R after the drop"
			}
			return ""
		}},
	{number: 34, group: 'E', title: "a shutdown while a holder sits in an operation and never leaves",
		says: same("the connection ends all the same; the context's end returns who has not left, by name; once it leaves, the report is final", "the column is the row"),
		run:  holderSpins},
	{number: 36, group: 'E', title: "a copy of the descriptor is on its way to another process",
		says: same("TCP: the shutdown resets through every copy; Unix: shutdown(2) reaches them, and the report says shared", "the column is the row"),
		run:  copyElsewhere,
		skip: noLibrary("a model has no descriptor")},
	{number: 37, group: 'E', title: "P, R and W are dropped after a shutdown",
		says: same("nil, each time: cleaning up is always possible", "the report is the same one"),
		scripts: []script{{
			each(acquireR, "ok"),
			each(acquireW, "ok"),
			each(shutP, "report; done P R W"),
			each(dropR, "ok"),
			each(dropR2, "ok"),
			each(dropW, "ok"),
			each(dropP, "ok"),
			each(dropP2, "ok"),
		}}},
	{number: 38, group: 'E', title: "finish, the graceful form, with a Read in flight",
		says: same("no new operation begins; the one in flight goes on to its end; W's bytes and FIN are delivered; then all is released", "it becomes a shutdown, as it does when its context ends"),
		scripts: []script{{
			each(acquireR, "ok"),
			each(acquireW, "ok"),
			each(writeW, "ok"),
			each(readR, "waits"),
			each(finishP, "waits; done P R W"),
			each(useR, "shutdown"),
			each(peerSends, "ok; read R=data"),
			each(peerEnd, "FIN"),
			each(peerFIN, "ok; finish P=ok"),
			each(endW, "finished"),
			each(endP, "finished"),
		}, {
			each(acquireR, "ok"),
			each(acquireW, "ok"),
			each(readR, "waits"),
			each(finishP, "waits; done P R W"),
			each(expireFP, "ok; read R=shutdown; finish P=cut"),
		}}},
	{number: 39, group: 'E', title: "shutdowns in a storm of descriptors that are opened and closed",
		says: same("no stranger's descriptor is ever touched", "the column is the row"),
		run:  reuseStorm,
		skip: noLibrary("a model has no descriptor")},
}
