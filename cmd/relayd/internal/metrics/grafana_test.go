package metrics

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"relayd/relay"
)

// A dashboard is as much of a Grafana dashboard as has queries in it.
type dashboard struct {
	Panels []struct {
		ID      int
		Title   string
		Type    string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr string }
	}
	Annotations struct{ List []struct{ Expr string } }
	Templating  struct {
		List []struct {
			Name  string
			Query json.RawMessage
		}
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile("grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// queries returns all queries of a dashboard, by where they are.
func (d dashboard) queries() map[string][]string {
	all := make(map[string][]string)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all[p.Title] = append(all[p.Title], target.Expr)
		}
	}
	for _, a := range d.Annotations.List {
		all["annotations"] = append(all["annotations"], a.Expr)
	}
	for _, v := range d.Templating.List {
		all["variable "+v.Name] = append(all["variable "+v.Name], string(v.Query))
	}
	return all
}

var (
	metricName = regexp.MustCompile(`\b(?:relayd|process|go)_[a-z0-9_]+`)
	// A selector, and a label matcher in it.
	selector = regexp.MustCompile(`([a-z0-9_]+)\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`([a-z_]+)(=~|!=|=)"([^"]*)"`)
)

// sampleNames returns the names of the samples in a scrape, each with the labels
// and the values that it has.
func sampleNames(text string) map[string]map[string]map[string]bool {
	names := make(map[string]map[string]map[string]bool)
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, _, _ := strings.Cut(strings.Fields(line)[0], "{")
		if names[name] == nil {
			names[name] = make(map[string]map[string]bool)
		}
		for _, m := range matcher.FindAllStringSubmatch(line, -1) {
			if names[name][m[1]] == nil {
				names[name][m[1]] = make(map[string]bool)
			}
			names[name][m[1]][m[3]] = true
		}
	}
	return names
}

// What the dashboard asks for is what a scrape has: names, labels, and the
// values that it compares with.
func TestDashboardAsksForWhatThereIs(t *testing.T) {
	s := start(t, relay.Config{To: address(t, "echo:")})
	names := sampleNames(scrape(t, Handler(s, census(t), nil)))
	asked := make(map[string]bool)
	for where, queries := range readDashboard(t).queries() {
		for _, q := range queries {
			for _, name := range metricName.FindAllString(q, -1) {
				asked[name] = true
				if names[name] == nil {
					t.Errorf("%s: there is no %s", where, name)
				}
			}
			for _, sel := range selector.FindAllStringSubmatch(q, -1) {
				for _, m := range matcher.FindAllStringSubmatch(sel[2], -1) {
					checkMatcher(t, where, names[sel[1]], m[1], m[2], m[3])
				}
			}
			for _, by := range regexp.MustCompile(`by \(([^)]*)\) \([^{]*?([a-z0-9_]+)\{`).FindAllStringSubmatch(q, -1) {
				for label := range strings.SplitSeq(by[1], ", ") {
					if names[by[2]][label] == nil {
						t.Errorf("%s: %s has no label %q to sum by", where, by[2], label)
					}
				}
			}
		}
	}
	// And each figure of the relay is on it.
	for _, name := range slices.Sorted(maps.Keys(names)) {
		base := strings.TrimSuffix(strings.TrimSuffix(name, "_sum"), "_count")
		if strings.HasPrefix(name, "relayd_") && !asked[name] && !asked[base+"_bucket"] {
			t.Errorf("%s is on no panel", name)
		}
	}
}

// checkMatcher checks one label matcher against the labels of a metric. The
// instance is the scraper's.
func checkMatcher(t *testing.T, where string, labels map[string]map[string]bool, label, op, v string) {
	t.Helper()
	if label == "instance" {
		return
	}
	if labels[label] == nil {
		t.Errorf("%s: no label %q", where, label)
		return
	}
	if op == "=" || op == "!=" {
		if !labels[label][v] {
			t.Errorf("%s: label %s is never %q, but one of %v", where, label, v, slices.Sorted(maps.Keys(labels[label])))
		}
		return
	}
	for word := range strings.SplitSeq(v, "|") {
		if !labels[label][word] {
			t.Errorf("%s: label %s is never %q, but one of %v", where, label, word, slices.Sorted(maps.Keys(labels[label])))
		}
	}
}

func TestDashboardIsWellFormed(t *testing.T) {
	ids := make(map[int]bool)
	panels := readDashboard(t).Panels
	for i, p := range panels {
		if p.ID == 0 || ids[p.ID] {
			t.Errorf("panel %q: the id %d is used twice", p.Title, p.ID)
		}
		ids[p.ID] = true
		g := p.GridPos
		if g.W <= 0 || g.H <= 0 || g.X+g.W > 24 {
			t.Errorf("panel %q is outside of the page: %+v", p.Title, g)
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, q := range panels[:i] {
			h := q.GridPos
			if g.X < h.X+h.W && h.X < g.X+g.W && g.Y < h.Y+h.H && h.Y < g.Y+g.H {
				t.Errorf("panels %q and %q lie over each other", p.Title, q.Title)
			}
		}
	}
}
