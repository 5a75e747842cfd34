package conformance

// useRows are section C: use after a drop.
var useRows = []row{
	{number: 18, group: 'C', title: "R is dropped with data waiting, then read",
		says: [columns]string{
			"refused (dropped), and no byte of what waits",
			"traps",
			"refused (dropped)",
			"refused (dropped)",
			"dropped to a half that was dropped before, shut down to the others"},
		scripts: []script{{
			each(acquireR, "ok"),
			each(peerSends, "ok"),
			each(dropR, "ok; done R"),
			by(readR, "dropped", "trap", "dropped", "dropped"),
			each(dropP, "ok; done P"),
			by(peerEnd, "FIN", "end", "FIN", "FIN"),
		}}},
	{number: 19, group: 'C', title: "R is dropped twice",
		says: [columns]string{
			"the second says dropped, and nothing changes",
			"the second traps",
			"the second says dropped, and nothing changes",
			"the second says dropped, and nothing changes",
			"a drop after the shutdown is a no-op"},
		scripts: []script{{
			each(acquireR, "ok"),
			each(dropR, "ok; done R"),
			by(dropR2, "dropped", "trap", "dropped", "dropped"),
			each(useP, "ok"),
			each(dropP, "ok; done P"),
		}}},
	{number: 20, group: 'C', title: "P is dropped twice, and by two at once",
		says: [columns]string{
			"exactly one succeeds, the other is told dropped",
			"with a half left the first traps and later ones are no-ops; without, the second traps",
			"exactly one succeeds, the other is told dropped",
			"both wait; one succeeds, the other is told dropped",
			"a drop after the shutdown is a no-op"},
		scripts: []script{{
			by(acquireR, "ok", "ok", "ok", ""),
			by(dropP, "left R", "trap R; done P R", "ok...; done P R", ""),
			by(dropP2, "dropped", "ok", "dropped", ""),
			by(dropR, "ok; done P R", "ok", "ok", ""),
		}},
		run: raceDrops},
	{number: 21, group: 'C', title: "P is used after its drop, while R lives",
		says: [columns]string{
			"refused (dropped); R works on",
			"refused (trapped)",
			"refused (dropped)",
			"refused (dropping), and after R's drop (dropped)",
			"refused (shut down)"},
		scripts: []script{{
			each(acquireR, "ok"),
			by(dropP, "left R", "trap R; done P R", "ok...; done P R", "waits"),
			by(useP, "dropped", "trapped", "dropped", "dropping"),
			by(useR, "ok", "trapped", "closed", "ok"),
			by(dropR, "ok; done P R", "ok", "ok", "ok; drop P=ok...; done P R"),
			by(useP, "dropped", "trapped", "dropped", "dropped"),
		}}},
	{number: 22, group: 'C', title: "the peer resets, W writes, then all is dropped",
		says: same("the reset is told at once and for ever; the drops are fine, and none waits for a dead peer", "fine; the connection was gone before"),
		scripts: []script{{
			each(acquireW, "ok"),
			each(peerRST, "ok"),
			each(writeE, "reset"),
			each(writeW, "reset"),
			each(dropW, "ok; done W"),
			each(dropP, "ok; done P"),
			each(endW, "failed"),
			each(endP, "failed"),
		}},
		skip: noReset},
}

// noReset excludes the kind without a reset.
func noReset(_ column, k kind) string {
	if k == unix {
		return "a Unix socket has no reset on the wire"
	}
	return ""
}

// noLibrary excludes the kind without a system behind it.
func noLibrary(why string) func(column, kind) string {
	return func(_ column, k kind) string {
		if k == library {
			return why
		}
		return ""
	}
}
