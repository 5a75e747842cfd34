package lifetime_test

// Section B of the matrix: children from owners in every state. Row 16, the
// race, is in race_test.go.
var acquireRows = []row{
	{12, "", "a child acquired twice", []step{
		each("acquire R", "ok"),
		each("acquire R", "taken"),
		each("beside R", "taken"),
		each("use R", "ok"),
		each("drop R", "ok; gone R"),
		each("drop P", "ok; gone P"),
	}},
	{13, "", "a child acquired, dropped, acquired again", []step{
		each("acquire R", "ok"),
		each("drop R", "ok; gone R"),
		each("acquire R", "taken"),
		each("drop P", "ok; gone P"),
	}},
	{14, "", "a child from a parent that was dropped and is held", []step{
		each("acquire R", "ok"),
		{"drop P", "trap R; gone P R", "left R", "ok; gone P R", "waits"},
		{"acquire W", "trapped", "dropped", "dropped", "dropping"},
		{"drop R", "ok", "ok; gone P R", "ok", "ok; drop P=ok; gone P R"},
		{"acquire W", "trapped", "dropped", "dropped", "dropped"},
	}},
	{14, "b", "a child from a parent that is gone", []step{
		each("drop P", "ok; gone P"),
		{"acquire R", "trap", "dropped", "dropped", "dropped"},
	}},
	{15, "", "a sibling from a live child, after the parent's drop", []step{
		each("acquire R", "ok"),
		{"drop P", "trap R; gone P R", "left R", "ok; gone P R", "waits"},
		{"beside W", "trapped", "parent-dropped", "closed", "dropping"},
		{"drop R", "ok", "ok; gone P R", "ok", "ok; drop P=ok; gone P R"},
		{"beside W", "trapped", "dropped", "closed", "dropped"},
	}},
	{15, "b", "a sibling from a child that was dropped", []step{
		each("acquire R", "ok"),
		each("drop R", "ok; gone R"),
		{"beside W", "trap", "dropped", "dropped", "dropped"},
		each("acquire W", "ok"),
		each("drop W", "ok; gone W"),
		each("drop P", "ok; gone P"),
	}},
}
