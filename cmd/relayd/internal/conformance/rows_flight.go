package conformance

// flightRows are section D: drops while something is in flight.
var flightRows = []row{
	{number: 23, group: 'D', title: "P is dropped while R waits in Read",
		says: [columns]string{
			"the drop succeeds at once; R goes on waiting, and gets what comes",
			"the drop fails; Read is told trapped",
			"Read is told closed by the parent before the drop returns",
			"the drop waits; if its context ends first it lists who holds, and P still owns",
			"Read is told shut down before the shutdown returns"},
		scripts: []script{{
			each(acquireR, "ok"),
			each(readR, "waits"),
			by(dropP, "left R", "trap R; read R=trapped; done P R", "ok...; read R=closed; done P R", "waits"),
			by(peerSends, "ok; read R=data", "ok", "ok", "ok; read R=data"),
			by(dropR, "ok; done P R", "ok", "ok", "ok; drop P=ok...; done P R"),
		}, {
			by(acquireR, "", "", "", "ok"),
			by(readR, "", "", "", "waits"),
			by(dropP, "", "", "", "waits"),
			by(useP, "", "", "", "dropping"),
			by(expireP, "", "", "", "ok; drop P=alive R"),
			by(useP, "", "", "", "ok"),
			by(dropR, "", "", "", "ok; read R=dropped; done R"),
			by(dropP, "", "", "", "ok; done P"),
		}}},
	{number: 24, group: 'D', title: "R is dropped while its own Read waits",
		says: same("Read is told dropped, and has left when the drop returns", "proven gone at every step"),
		scripts: []script{{
			each(acquireR, "ok"),
			each(readR, "waits"),
			each(dropR, "ok; read R=dropped; done R"),
			each(endR, "dropped"),
			each(dropP, "ok; done P"),
		}, {
			by(acquireR, "ok", "", "", "ok"),
			by(readR, "waits", "", "", "waits"),
			by(dropP, "left R", "", "", "waits"),
			by(dropR, "ok; read R=dropped; done P R", "", "", "ok; read R=dropped; drop P=ok...; done P R"),
		}}},
	{number: 25, group: 'D', title: "R is dropped while W waits in Write",
		says: same("W is not disturbed: all 16 MiB arrive, then FIN", "Write is told shut down"),
		scripts: []script{{
			each(acquireR, "ok"),
			each(acquireW, "ok"),
			each(writeL, "waits"),
			each(dropR, "ok; done R"),
			each(peerReads, "ok; write W a lot=ok"),
			each(dropW, "ok; done W"),
			each(peerEnd, "FIN"),
			each(dropP, "ok; done P"),
		}}},
	{number: 26, group: 'D', title: "W is dropped while its own Write waits",
		says: same("Write is told dropped; the stream lacks its tail, so the peer sees a reset and no clean end", "proven gone, or gone before"),
		scripts: []script{{
			each(acquireW, "ok"),
			each(writeL, "waits"),
			each(dropW, "ok; write W a lot=dropped; done W"),
			each(peerEnd, "RST"),
			each(dropP, "ok; done P"),
		}}},
}
