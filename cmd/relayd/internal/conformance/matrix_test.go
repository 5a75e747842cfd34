package conformance

import (
	"fmt"
	"testing"
)

// The cells of relayd conformance, as tests: row, column, kind. A row's cells
// run together, because most of them wait.
func TestMatrix(t *testing.T) {
	rows := matrix()
	for i := range rows {
		t.Run(fmt.Sprintf("row%02d", rows[i].number), func(t *testing.T) { testRow(t, &rows[i]) })
	}
}

func testRow(t *testing.T, r *row) {
	t.Parallel()
	rounds := 400
	if testing.Short() {
		rounds = 50
	}
	var jobs []job
	for c := range columns {
		for k := range kinds {
			jobs = append(jobs, job{row: r, column: c, kind: k, rounds: rounds})
		}
	}
	runJobs(t.Context(), jobs)
	for c := range columns {
		t.Run(c.String(), func(t *testing.T) {
			for _, j := range jobs[int(c)*int(kinds) : int(c+1)*int(kinds)] {
				t.Run(j.kind.String(), func(t *testing.T) { reportCell(t, j) })
			}
		})
	}
}

func reportCell(t *testing.T, j job) {
	switch j.result.Status {
	case OK:
	case NotApplicable:
		t.Log("n/a:", j.result.Detail)
	default:
		t.Errorf("%s: %s", j.result.Status, j.result.Detail)
	}
	for _, f := range j.facts {
		t.Log(f.Text)
	}
}
