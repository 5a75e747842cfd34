package conformance

import "runtime"

// acquireRows are section B: who may take a child, and when.
var acquireRows = []row{
	{number: 12, group: 'B', title: "R is taken twice",
		says: same("the second is refused (taken); the first works on, and nothing traps", "taking says shut down"),
		scripts: []script{{
			each(acquireR, "ok"),
			each(acquireR, "taken"),
			each(useR, "ok"),
			each(dropR, "ok; done R"),
			each(dropP, "ok; done P"),
		}}},
	{number: 13, group: 'B', title: "R is taken, dropped, and taken again",
		says: same("refused (taken): once for each socket, for ever", "taking says shut down"),
		scripts: []script{{
			each(acquireR, "ok"),
			each(dropR, "ok; done R"),
			each(acquireR, "taken"),
			each(dropP, "ok; done P"),
		}}},
	{number: 14, group: 'B', title: "P is dropped, then a half is taken from it",
		says: [columns]string{
			"refused (dropped)",
			"refused (trapped); on a P that has no children, that itself traps",
			"refused (dropped)",
			"refused (dropping) while the drop waits, then (dropped)",
			"taking says shut down to an owner, dropped to one that dropped"},
		scripts: []script{{
			each(acquireR, "ok"),
			by(dropP, "left R", "trap R; done P R", "ok...; done P R", "waits"),
			by(acquireW, "dropped", "trapped", "dropped", "dropping"),
			by(dropR, "ok; done P R", "ok", "ok", "ok; drop P=ok...; done P R"),
			by(acquireW, "dropped", "trapped", "dropped", "dropped"),
		}, {
			each(dropP, "ok; done P"),
			by(acquireR, "dropped", "trap", "dropped", "dropped"),
		}}},
	{number: 15, group: 'B', title: "P is dropped, then a sibling is made from R, which lives",
		says: [columns]string{
			"refused (parent dropped): a child never mints rights",
			"refused (trapped)",
			"refused (closed by the parent)",
			"refused (dropping)",
			"refused (shut down)"},
		scripts: []script{{
			each(acquireR, "ok"),
			by(dropP, "left R", "trap R; done P R", "ok...; done P R", "waits"),
			by(besideC, "parent-dropped", "trapped", "closed", "dropping"),
			by(dropR, "ok; done P R", "ok", "ok", "ok; drop P=ok...; done P R"),
		}}},
	{number: 16, group: 'B', title: "taking R races the drop of P",
		says: [columns]string{
			"a half that works, or refused: never a dead half",
			"a half, and then the drop traps; or no half, and the drop is fine",
			"a half that is then closed, or refused",
			"a half, and the drop waits for it; or refused",
			"taking races the shutdown: see row 28"},
		run: raceAcquire, forced: raceAcquireShutdown},
	{number: 17, group: 'B', title: "R is taken after the peer's FIN, or after its reset",
		says: same("after FIN: the data, then the end; after a reset: taken, and its first read says so", "proven gone, or gone before"),
		scripts: []script{{
			each(peerSends, "ok"),
			each(peerFIN, "ok"),
			each(acquireR, "ok"),
			each(readR, "data"),
			each(readR, "EOF"),
			each(dropR, "ok; done R"),
			each(dropP, "ok; done P"),
		}},
		run: acquireAfterReset,
		skip: func(_ column, k kind) string {
			if k == unix && runtime.GOOS != "linux" {
				return "only Linux resets a Unix socket whose peer leaves bytes unread"
			}
			return ""
		}},
}
