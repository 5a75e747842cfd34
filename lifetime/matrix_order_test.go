package lifetime_test

import "strings"

// Section A of the matrix: the order of drops.
var orderRows = []row{
	{1, "", "the parent dropped without a child", []step{
		each("drop P", "ok; gone P"),
		each("end P", "dropped"),
		{"use P", "trap", "dropped", "dropped", "dropped"},
	}},
	{2, "", "the parent dropped, then its child used", []step{
		each("acquire R", "ok"),
		{"drop P", "trap R; gone P R", "left R", "ok; gone P R", "waits"},
		{"use R", "trapped", "ok", "closed", "ok"},
		{"drop R", "ok", "ok; gone P R", "ok", "ok; drop P=ok; gone P R"},
		{"end R", "trapped", "dropped", "closed-by-parent", "dropped"},
		{"end P", "trapped", "dropped", "dropped", "dropped"},
	}},
	{3, "", "the parent dropped, then its child, which owes a tail", []step{
		each("acquire W", "ok"),
		each("owe W", "ok"),
		{"drop P", "trap W; gone P W", "left W", "ok; gone P W", "waits"},
		{"use W", "trapped", "ok", "closed", "ok"},
		{"drop W", "ok", "ok", "ok", "ok"},
		{"state P", "released", "draining", "released", "draining"},
		{"pay W", "ok", "ok; gone P W", "ok", "ok; drop P=ok; gone P W"},
		{"end W", "trapped", "dropped", "closed-by-parent", "dropped"},
	}},
	{4, "", "children first", []step{
		each("acquire R", "ok"),
		each("acquire W", "ok"),
		each("drop R", "ok; gone R"),
		each("drop W", "ok; gone W"),
		each("drop P", "ok; gone P"),
		each("end R", "dropped"),
		each("end W", "dropped"),
		each("end P", "dropped"),
	}},
	{5, "", "R, P, W: the parent in the middle", []step{
		each("acquire R", "ok"),
		each("acquire W", "ok"),
		each("drop R", "ok; gone R"),
		{"drop P", "trap W; gone P W", "left W", "ok; gone P W", "waits"},
		{"drop W", "ok", "ok; gone P W", "ok", "ok; drop P=ok; gone P W"},
		each("end R", "dropped"),
		{"end W", "trapped", "dropped", "closed-by-parent", "dropped"},
		{"end P", "trapped", "dropped", "dropped", "dropped"},
	}},
	{5, "b", "W, P, R: the parent in the middle", []step{
		each("acquire R", "ok"),
		each("acquire W", "ok"),
		each("drop W", "ok; gone W"),
		{"drop P", "trap R; gone P R", "left R", "ok; gone P R", "waits"},
		{"drop R", "ok", "ok; gone P R", "ok", "ok; drop P=ok; gone P R"},
		each("end W", "dropped"),
		{"end R", "trapped", "dropped", "closed-by-parent", "dropped"},
		{"end P", "trapped", "dropped", "dropped", "dropped"},
	}},
	{7, "", "one half dropped, the other goes on to the peer's end", []step{
		each("acquire R", "ok"),
		each("acquire W", "ok"),
		each("owe W", "ok"),
		each("drop W", "ok"),
		each("read R", "waits"),
		each("state W", "draining"),
		each("pay W", "ok; gone W"),
		each("eof R", "ok"),
		each("data R", "ok; read R=ok"),
		each("use R", "ok"),
		each("drop R", "ok; gone R"),
		each("end R", "peer-closed"),
		each("drop P", "ok; gone P"),
	}},
	{10, "", "a clone outlives its original", []step{
		each("acquire R", "ok"),
		each("beside C", "ok"),
		each("drop R", "ok; gone R"),
		each("use C", "ok"),
		{"drop P", "trap R; gone P C", "left R", "ok; gone P C", "waits"},
		{"use C", "trapped", "ok", "closed", "ok"},
		{"drop C", "ok", "ok; gone P C", "ok", "ok; drop P=ok; gone P C"},
		each("end R", "dropped"),
		{"end C", "trapped", "dropped", "closed-by-parent", "dropped"},
	}},
}

// permutations are row 6: every order of drops, with and without a clone.
func permutations() []row {
	var rows []row
	for _, handles := range []string{"PRW", "PRWC"} {
		for _, order := range orders(handles) {
			r := row{number: 6, letter: order, title: "drops in the order " + order}
			r.steps = append(r.steps, each("acquire R", "ok"), each("acquire W", "ok"))
			if len(handles) == 4 {
				r.steps = append(r.steps, each("beside C", "ok"))
			}
			for i := range order {
				r.steps = append(r.steps, dropInOrder(order, i))
			}
			rows = append(rows, r)
		}
	}
	return rows
}

// orders returns the permutations of s.
func orders(s string) []string {
	if len(s) == 1 {
		return []string{s}
	}
	var list []string
	for i := range s {
		for _, rest := range orders(s[:i] + s[i+1:]) {
			list = append(list, s[i:i+1]+rest)
		}
	}
	return list
}

// dropInOrder is the i-th drop of an order.
func dropInOrder(order string, i int) step {
	handle, after := order[i:i+1], strings.Split(order[i+1:], "")
	event := "drop " + handle
	parent := strings.Index(order, "P")
	switch {
	case i < parent, i == parent && len(order) == i+1:
		return each(event, "ok; gone "+handle)
	case i == parent:
		// The clone goes by its original's name.
		named := letters(strings.Fields(strings.NewReplacer("R", "read", "W", "write", "C", "read").Replace(strings.Join(after, " "))))
		holders := strings.Join(named, " ")
		all := "; gone P " + strings.Join(after, " ")
		return step{event, "trap " + holders + all, "left " + holders, "ok" + all, "waits"}
	case i == len(order)-1:
		gone := "; gone P " + handle
		return step{event, "ok", "ok" + gone, "ok", "ok; drop P=ok" + gone}
	default:
		gone := "ok; gone " + handle
		return step{event, "ok", gone, "ok", gone}
	}
}
