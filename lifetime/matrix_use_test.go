package lifetime_test

// Section C of the matrix: use after a drop.
var useRows = []row{
	{18, "", "a dropped child used", []step{
		each("acquire R", "ok"),
		each("drop R", "ok; gone R"),
		{"use R", "trap", "dropped", "dropped", "dropped"},
		{"read R", "trap", "dropped", "dropped", "dropped"},
		each("end R", "dropped"),
		each("drop P", "ok; gone P"),
	}},
	{18, "b", "a dropped child used while it drains", []step{
		each("acquire R", "ok"),
		each("owe R", "ok"),
		each("drop R", "ok"),
		{"use R", "trap; gone R", "dropped", "dropped", "dropped"},
		{"pay R", "ok", "ok; gone R", "ok; gone R", "ok; gone R"},
		{"end R", "trapped", "dropped", "dropped", "dropped"},
		each("drop P", "ok; gone P"),
	}},
	{19, "", "a child dropped twice", []step{
		each("acquire R", "ok"),
		each("drop R", "ok; gone R"),
		{"drop R", "trap", "dropped", "dropped", "dropped"},
		each("use P", "ok"),
		each("drop P", "ok; gone P"),
	}},
	{19, "b", "a child dropped twice while it drains", []step{
		each("acquire R", "ok"),
		each("owe R", "ok"),
		each("drop R", "ok"),
		{"drop R", "trap; gone R", "dropped", "dropped", "dropped"},
		{"pay R", "ok", "ok; gone R", "ok; gone R", "ok; gone R"},
		{"end R", "trapped", "dropped", "dropped", "dropped"},
		each("drop P", "ok; gone P"),
	}},
	{20, "", "the parent dropped twice, with a child", []step{
		each("acquire R", "ok"),
		{"drop P", "trap R; gone P R", "left R", "ok; gone P R", "waits"},
		{"drop P", "ok", "dropped", "dropped", "waits"},
		{"drop R", "ok", "ok; gone P R", "ok", "ok; drop P=ok; drop P=dropped; gone P R"},
		{"drop P", "ok", "dropped", "dropped", "dropped"},
	}},
	{20, "b", "the parent dropped twice, without a child", []step{
		each("drop P", "ok; gone P"),
		{"drop P", "trap", "dropped", "dropped", "dropped"},
	}},
	{21, "", "the parent used after its drop", []step{
		each("acquire R", "ok"),
		{"drop P", "trap R; gone P R", "left R", "ok; gone P R", "waits"},
		{"use P", "trapped", "dropped", "dropped", "dropping"},
		{"drop R", "ok", "ok; gone P R", "ok", "ok; drop P=ok; gone P R"},
		{"use P", "trapped", "dropped", "dropped", "dropped"},
	}},
}
