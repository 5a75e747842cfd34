package conformance

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// Options say what to run. The zero Options run everything.
type Options struct {
	// Rounds is how often the cells that race are repeated. Zero means 200.
	Rounds int
	// Kinds are the kinds to run over: library, tcp4, tcp6, tls, unix. None means all.
	Kinds []string
	// Rows are the numbers of the rows to run. None means all.
	Rows []int
	// Version is what to say of the program that runs.
	Version string
}

const (
	defaultRounds = 200
	// workers is how many cells run at a time. Most of them wait.
	workers = 8
)

// Kinds returns the names that Options.Kinds may have.
func Kinds() []string { return slices.Clone(kindNames[:]) }

// Run runs the matrix. It fails if the options name a kind or a row that there
// is not; cells that fail are in the result.
func Run(ctx context.Context, o Options) (*Result, error) {
	return runRows(ctx, matrix(), o)
}

func runRows(ctx context.Context, rows []row, o Options) (*Result, error) {
	if o.Rounds <= 0 {
		o.Rounds = defaultRounds
	}
	selected, err := o.kinds()
	if err != nil {
		return nil, err
	}
	if rows, err = o.rows(rows); err != nil {
		return nil, err
	}
	r := &Result{
		Environment: environment(o.Version),
		Began:       time.Now(),
		Rounds:      o.Rounds,
		Columns:     columnNames[:],
	}
	for _, k := range selected {
		r.Kinds = append(r.Kinds, k.String())
	}
	var jobs []job
	for i := range rows {
		r.Rows = append(r.Rows, rows[i].describe())
		for _, k := range selected {
			for c := range columns {
				jobs = append(jobs, job{row: &rows[i], at: i, column: c, kind: k, rounds: o.Rounds})
			}
		}
	}
	runJobs(ctx, jobs)
	for i := range jobs {
		r.add(&jobs[i])
	}
	r.Took = time.Since(r.Began)
	return r, nil
}

// kinds returns the kinds that are selected.
func (o *Options) kinds() ([]kind, error) {
	var list []kind
	for k := range kinds {
		if len(o.Kinds) == 0 || slices.Contains(o.Kinds, k.String()) {
			list = append(list, k)
		}
	}
	for _, name := range o.Kinds {
		if !slices.Contains(kindNames[:], name) {
			return nil, fmt.Errorf("unknown kind %q: it is one of %v", name, Kinds())
		}
	}
	return list, nil
}

// rows returns the rows that are selected.
func (o *Options) rows(all []row) ([]row, error) {
	if len(o.Rows) == 0 {
		return all, nil
	}
	var list []row
	for _, n := range o.Rows {
		i := slices.IndexFunc(all, func(r row) bool { return r.number == n })
		if i < 0 {
			return nil, fmt.Errorf("no row %d in the matrix: it has the rows %d to %d, and not every number", n, all[0].number, all[len(all)-1].number)
		}
		list = append(list, all[i])
	}
	return list, nil
}

// A job is a cell to run, and then its result.
type job struct {
	row    *row
	at     int
	column column
	kind   kind
	rounds int

	result Cell
	facts  []Fact
}

// runJobs runs jobs, a few at a time. Those that wait for a time go first.
func runJobs(ctx context.Context, jobs []job) {
	queue := make(chan *job, len(jobs))
	for i := range jobs {
		if jobs[i].row.slow {
			queue <- &jobs[i]
		}
	}
	for i := range jobs {
		if !jobs[i].row.slow {
			queue <- &jobs[i]
		}
	}
	close(queue)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() { work(ctx, queue) })
	}
	group.Wait()
}

func work(ctx context.Context, queue <-chan *job) {
	for j := range queue {
		j.run(ctx)
	}
}

// run runs one cell. Nothing of it is green that did not run.
func (j *job) run(ctx context.Context) {
	j.result = Cell{Column: j.column.String(), Kind: j.kind.String()}
	if why := j.row.notApplicable(j.column, j.kind); why != "" {
		j.result.Status, j.result.Detail = NotApplicable, why
		return
	}
	if j.kind == tcp6 && !hasIPv6() {
		j.result.Status, j.result.Detail = NotApplicable, "this machine has no IPv6 loopback address"
		return
	}
	began := time.Now()
	c := &cell{row: j.row, column: j.column, kind: j.kind, rounds: j.rounds}
	diffs := c.run(ctx)
	j.result.Took = time.Since(began)
	j.facts = c.notes
	j.result.Status = OK
	if len(diffs) > 0 {
		j.result.Status, j.result.Detail = Failed, joined(diffs)
	}
}

// joined is a few differences in one text.
func joined(diffs []string) string {
	const most = 5
	text := ""
	for i, d := range diffs {
		if i == most {
			return fmt.Sprintf("%s; and %d more", text, len(diffs)-most)
		}
		if i > 0 {
			text += "; "
		}
		text += d
	}
	return text
}

// add adds a job's result.
func (r *Result) add(j *job) {
	r.Rows[j.at].Cells = append(r.Rows[j.at].Cells, j.result)
	r.Facts = append(r.Facts, j.facts...)
	switch j.result.Status {
	case OK:
		r.Passed++
	case Failed:
		r.Failed++
	default:
		r.NA++
	}
}

// describe is the row as data.
func (r *row) describe() Row {
	d := Row{Number: r.number, Group: string(r.group), Title: r.title, Says: make(map[string]string)}
	for c, text := range r.says {
		d.Says[columnNames[c]] = text
	}
	for v, s := range r.scripts {
		for _, st := range s {
			step := Step{Variant: v + 1, Event: st.event.text, Want: make(map[string]string)}
			for c, w := range st.want {
				if w != "" {
					step.Want[columnNames[c]] = w
				}
			}
			d.Steps = append(d.Steps, step)
		}
	}
	return d
}

// hasIPv6 reports whether the loopback address of IPv6 can be listened on.
var hasIPv6 = sync.OnceValue(probeIPv6)

func probeIPv6() bool {
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	ln.Close()
	return true
}
