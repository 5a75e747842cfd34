package conformance

import (
	"encoding/json"
	"io"
	"runtime"
	"time"
)

// A Status is what became of a cell.
type Status string

// The statuses.
const (
	OK            Status = "ok"
	Failed        Status = "FAIL"
	NotApplicable Status = "n/a"
)

// A Result is the whole matrix, run.
type Result struct {
	Environment Environment   `json:"environment"`
	Began       time.Time     `json:"began"`
	Took        time.Duration `json:"took_ns"`
	Rounds      int           `json:"rounds"`
	Columns     []string      `json:"columns"`
	Kinds       []string      `json:"kinds"`
	Rows        []Row         `json:"rows"`
	Facts       []Fact        `json:"facts"`
	Passed      int           `json:"passed"`
	Failed      int           `json:"failed"`
	NA          int           `json:"not_applicable"`
}

// An Environment is where a matrix ran.
type Environment struct {
	Relayd string `json:"relayd"`
	Go     string `json:"go"`
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	Kernel string `json:"kernel"`
	CPUs   int    `json:"cpus"`
}

// A Row is one sequence of events.
type Row struct {
	Number int               `json:"number"`
	Group  string            `json:"group"`
	Title  string            `json:"title"`
	Says   map[string]string `json:"says"` // what must come of it, by column
	Steps  []Step            `json:"steps,omitempty"`
	Cells  []Cell            `json:"cells"`
}

// A Step is an event of a row, and what must come of it, by policy.
type Step struct {
	Variant int               `json:"variant"`
	Event   string            `json:"event"`
	Want    map[string]string `json:"want"`
}

// A Cell is a row under one column over one kind.
type Cell struct {
	Column string        `json:"column"`
	Kind   string        `json:"kind"`
	Status Status        `json:"status"`
	Detail string        `json:"detail,omitempty"` // why it does not apply, or what differed
	Took   time.Duration `json:"took_ns"`
}

// A Fact is something that was measured beside a cell.
type Fact struct {
	Row    int    `json:"row"`
	Kind   string `json:"kind"`
	Policy string `json:"policy"`
	Naive  bool   `json:"naive"` // of a plain connection in relayd's place
	Text   string `json:"text"`
}

// cell returns the cell of a column and a kind.
func (r *Row) cell(column, kind string) *Cell {
	for i := range r.Cells {
		if c := &r.Cells[i]; c.Column == column && c.Kind == kind {
			return c
		}
	}
	return nil
}

// Compared returns the facts of the default policy, which are those that stand
// beside a plain connection's.
func (r *Result) Compared() []Fact {
	var list []Fact
	for _, f := range r.Facts {
		if f.Policy == refcount.String() {
			list = append(list, f)
		}
	}
	return list
}

// WriteJSON writes the result as one JSON object. Fields are added, and never
// change their meaning.
func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func environment(version string) Environment {
	return Environment{version, runtime.Version(), runtime.GOOS, runtime.GOARCH, kernelVersion(), runtime.NumCPU()}
}
