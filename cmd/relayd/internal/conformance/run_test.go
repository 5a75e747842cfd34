package conformance

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// planted is a small matrix: one row that is as it should be, one whose words
// are wrong, one that says so itself, one that panics and one that does not
// apply.
func planted() []row {
	return []row{
		{number: 1, group: 'A', title: "right",
			scripts: []script{{each(dropP, "ok; done P")}}},
		{number: 2, group: 'A', title: "wrong <script>alert('&')</script>",
			scripts: []script{{each(dropP, "dropped; done P")}}},
		{number: 3, group: 'F', title: "says so", run: func(*cell) error { return errors.New("<b>it differs</b>") }},
		{number: 4, group: 'F', title: "panics", run: func(*cell) error { panic("planted") }},
		{number: 5, group: 'F', title: "does not apply", skip: func(column, kind) string { return "nothing to see" }},
		{number: 6, group: 'F', title: "leaves a connection", run: func(c *cell) error {
			_, err := c.connect(c.column.policy())
			return err
		}},
	}
}

func runPlanted(t *testing.T) *Result {
	t.Helper()
	r, err := runRows(t.Context(), planted(), Options{Kinds: []string{"library", "tcp4"}, Rounds: 1})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPlanted(t *testing.T) {
	r := runPlanted(t)
	want := map[int]struct {
		status Status
		detail string
	}{
		1: {OK, ""},
		2: {Failed, "step 1, drop P: ok; want dropped"},
		3: {Failed, "<b>it differs</b>"},
		4: {Failed, "panic: planted"},
		5: {NotApplicable, "nothing to see"},
		6: {Failed, "left behind: "},
	}
	for _, row := range r.Rows {
		for _, k := range r.Kinds {
			c := row.cell("refcount", k)
			w := want[row.Number]
			if c.Status != w.status || !strings.HasPrefix(c.Detail, w.detail) {
				t.Errorf("row %d over %s is %s (%s); want %s (%s)", row.Number, k, c.Status, c.Detail, w.status, w.detail)
			}
		}
	}
	if r.Failed == 0 || r.Passed+r.Failed+r.NA != len(r.Rows)*len(r.Columns)*len(r.Kinds) {
		t.Errorf("%d ok, %d FAIL, %d n/a of %d rows", r.Passed, r.Failed, r.NA, len(r.Rows))
	}
}

// Every outcome that a script does not expect is a difference: a wrong result,
// an early return, something else that ended, somebody else who let go.
func TestPlantedScripts(t *testing.T) {
	tests := []struct {
		name   string
		script script
		want   string
	}{
		{"result", script{each(acquireR, "ok"), each(acquireR, "ok")}, "step 2, take R: taken; want ok"},
		{"waits", script{each(acquireR, "ok"), each(dropR, "waits")}, "step 2, drop R: ok; want it to wait"},
		{"ended", script{each(acquireR, "ok"), each(readR, "waits"), each(dropR, "ok; done R"), each(dropP, "ok; done P"), each(endP, "dropped")}, "read R"}, // it ended, or at the end nobody has asked for its result
		{"not ended", script{each(acquireR, "ok"), each(dropR, "ok; read R=data; done R")}, "step 2, drop R: read R had ended before; want data now"},
		{"done", script{each(acquireR, "ok"), each(dropR, "ok")}, "step 2, drop R: R does not hold any more: it is "},
		{"not dropped", script{each(acquireR, "ok"), each(readR, "waits")}, "P was not dropped"},
		{"peer", script{each(dropP, "ok; done P"), each(peerEnd, "nothing")}, "step 2, peer reads to the end: FIN; want nothing"},
		{"bytes", script{each(acquireW, "ok"), each(writeW, "ok"), each(peerSends, "ok"), each(dropW, "ok; done W"), each(dropP, "ok; done P"), each(endP, "failed")},
			"step 6, P's end: dropped; want failed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := row{number: 1, group: 'A', title: "planted", scripts: []script{test.script}}
			for k := range kinds {
				j := job{row: &r, column: refcount, kind: k, rounds: 1}
				j.run(t.Context())
				if j.result.Status != Failed || !strings.Contains(j.result.Detail, test.want) {
					t.Errorf("%v: %s (%s); want FAIL (%s)", k, j.result.Status, j.result.Detail, test.want)
				}
			}
		})
	}
}

func TestOptions(t *testing.T) {
	if _, err := Run(t.Context(), Options{Kinds: []string{"tcp5"}}); err == nil || !strings.Contains(err.Error(), `unknown kind "tcp5"`) {
		t.Errorf("a kind that there is not: %v", err)
	}
	if _, err := Run(t.Context(), Options{Rows: []int{27}}); err == nil || !strings.Contains(err.Error(), "no row 27") {
		t.Errorf("a row that there is not: %v", err)
	}
	r, err := Run(t.Context(), Options{Kinds: []string{"library"}, Rows: []int{12, 4}, Rounds: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 2 || !slices.Equal(r.Kinds, []string{"library"}) || r.Passed != 2*len(r.Columns) {
		t.Errorf("%d rows, kinds %v, %d passed", len(r.Rows), r.Kinds, r.Passed)
	}
}

// The matrix itself: each row is told apart, explained, and in its group.
func TestRows(t *testing.T) {
	last := row{group: 'A'}
	for _, r := range matrix() {
		if r.number <= last.number || r.group < last.group || groups[r.group] == "" || r.title == "" {
			t.Errorf("row %d (%q) in group %c after row %d in group %c", r.number, r.title, r.group, last.number, last.group)
		}
		last = r
		for c := range columns {
			runs := false
			for k := range kinds {
				runs = runs || r.notApplicable(c, k) == ""
			}
			if runs && r.says[c] == "" {
				t.Errorf("row %d does not say what must come of it under %v", r.number, c)
			}
		}
	}
}
