package lifetime_test

// Section F of the matrix: forgotten, broken and slow. Row 40, the owner that
// was collected, is in leak_test.go.
var lostRows = []row{
	{41, "", "a child that nobody drops, under a grace", []step{
		each("acquire R", "ok"),
		each("grace P 1m", "ok"),
		{"drop P", "trap R; gone P R", "left R", "ok; gone P R", "waits"},
		each("pass P 59s", "ok"),
		{"list P", "", "P/live/orphan/1/0 R/live/owned/0/0", "", "P/dropping/owned/1/0 R/live/owned/0/0"},
		{"pass P 2s", "ok", "ok; gone P R", "ok", "ok"},
		{"drop R", "ok", "ok", "ok", "ok; drop P=ok; gone P R"},
		{"end R", "trapped", "shutdown", "closed-by-parent", "dropped"},
		{"end P", "trapped", "shutdown", "dropped", "dropped"},
	}},
	{42, "", "a stage that panics", []step{
		each("acquire R", "ok"),
		each("acquire W", "ok"),
		each("panic W", "ok; gone W"),
		each("end W", "failed"),
		each("use R", "ok"),
		each("drop R", "ok; gone R"),
		each("drop P", "ok; gone P"),
	}},
	{42, "b", "a stage that panics after its parent's drop", []step{
		each("acquire W", "ok"),
		{"drop P", "trap W; gone P W", "left W", "ok; gone P W", "waits"},
		{"panic W", "trapped", "ok; gone P W", "closed", "ok; drop P=ok; gone P W"},
		{"end W", "trapped", "failed", "closed-by-parent", "failed"},
	}},
	{44, "", "the end of a daemon P that does not wait for its conns R and W", []step{
		{event: "acquire R", trap: "ok", closeChildren: "ok"},
		{event: "acquire W", trap: "ok", closeChildren: "ok"},
		{event: "read R", trap: "waits", closeChildren: "waits"},
		{event: "drop P", trap: "trap R W; read R=trapped; gone P R W", closeChildren: "ok; read R=closed; gone P R W"},
	}},
	{44, "b", "the end of a daemon P that drains its conns R and W first", []step{
		{event: "acquire R", refcount: "ok", block: "ok"},
		{event: "acquire W", refcount: "ok", block: "ok"},
		{event: "spin R", refcount: "waits", block: "waits"},
		{event: "finish P", refcount: "waits; gone W", block: "waits; gone W"},
		{event: "expire P", refcount: "ok; finish P=alive R closing", block: "ok; finish P=alive R closing"},
		{event: "shutdown P", refcount: "waits", block: "waits"},
		{event: "data R", refcount: "ok; shutdown P=report R W; spin R=ok; gone P R", block: "ok; shutdown P=report R W; spin R=ok; gone P R"},
		{event: "end W", refcount: "finished", block: "finished"},
		{event: "end R", refcount: "shutdown", block: "shutdown"},
	}},
	{45, "", "a slow peer, and children that went before", []step{
		each("acquire R", "ok"),
		each("owe P", "ok"),
		each("drop R", "ok; gone R"),
		each("drop P", "ok"),
		each("list P", "P/draining/orphan/0/0"),
		each("pass P 1900ms", "ok"),
		each("pass P 200ms", "ok; gone P"),
		each("end P", "failed"),
	}},
	{45, "b", "a slow peer, and a child that lives", []step{
		each("acquire R", "ok"),
		each("owe P", "ok"),
		{"drop P", "trap R; gone P R", "left R", "waits; gone R", "waits"},
		{"drop R", "ok", "ok; gone R", "ok", "ok; gone R"},
		{"state P", "released", "draining", "draining", "draining"},
		{"pay P", "ok", "ok; gone P", "ok; drop P=ok; gone P", "ok; drop P=ok; gone P"},
		{"end P", "trapped", "dropped", "dropped", "dropped"},
	}},
	{45, "c", "a drain that fails", []step{
		each("owe P", "ok"),
		each("drop P", "ok"),
		each("fail P", "ok; gone P"),
		each("end P", "failed"),
	}},
}
