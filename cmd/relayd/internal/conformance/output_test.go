package conformance

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestJSON(t *testing.T) {
	r := runPlanted(t)
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var back Result
	d := json.NewDecoder(&b)
	d.DisallowUnknownFields()
	if err := d.Decode(&back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back.Rows, r.Rows) || back.Failed != r.Failed || back.Environment != r.Environment {
		t.Errorf("decoded %+v; want %+v", back, *r)
	}
}

// The names in the JSON are for programs that were written long ago.
func TestJSONNames(t *testing.T) {
	var b bytes.Buffer
	if err := runPlanted(t).WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(b.Bytes(), &top); err != nil {
		t.Fatal(err)
	}
	var rows []map[string]any
	if err := json.Unmarshal(top["rows"], &rows); err != nil {
		t.Fatal(err)
	}
	cell := rows[1]["cells"].([]any)[0].(map[string]any)
	for _, name := range []string{"column", "kind", "status", "detail", "took_ns"} {
		if _, ok := cell[name]; !ok {
			t.Errorf("a cell has no %q: %v", name, cell)
		}
	}
	var env map[string]any
	if err := json.Unmarshal(top["environment"], &env); err != nil {
		t.Fatal(err)
	}
	if env["go"] == "" || env["kernel"] == "" {
		t.Errorf("environment %v", env)
	}
}

// The page is well-formed, has every row, and quotes what is not its own.
func TestHTML(t *testing.T) {
	r := runPlanted(t)
	var b bytes.Buffer
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	wellFormed(t, text)
	for _, row := range r.Rows {
		if !strings.Contains(text, fmt.Sprintf(`id="row%d"`, row.Number)) {
			t.Errorf("row %d is missing", row.Number)
		}
	}
	for _, raw := range []string{"<script>", "<b>it differs", "http://", "src=", "@import", "url("} {
		if strings.Contains(text, raw) {
			t.Errorf("the page contains %s", raw)
		}
	}
	for _, want := range []string{"wrong &lt;script&gt;", "&lt;b&gt;it differs", "FAIL 2/2", "nothing to see"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

// The page of the real matrix has all its rows, whatever their text.
func TestHTMLOfMatrix(t *testing.T) {
	rows := matrix()
	r := &Result{Columns: columnNames[:], Kinds: []string{"library"}}
	for i := range rows {
		d := rows[i].describe()
		for _, c := range columnNames {
			d.Cells = append(d.Cells, Cell{Column: c, Kind: "library", Status: OK})
		}
		r.Rows = append(r.Rows, d)
		r.Facts = append(r.Facts,
			Fact{Row: d.Number, Kind: "library", Policy: "refcount", Text: "ours"},
			Fact{Row: d.Number, Kind: "library", Policy: "refcount", Naive: true, Text: "theirs"})
	}
	var b bytes.Buffer
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, b.String())
	if n := strings.Count(b.String(), `<details class="row"`); n != len(rows) {
		t.Errorf("%d rows on the page; want %d", n, len(rows))
	}
	for n := range compared {
		if !strings.Contains(b.String(), fmt.Sprintf(`href="#row%d"`, n)) {
			t.Errorf("row %d is not compared with a plain connection", n)
		}
	}
}

func wellFormed(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict = false
	d.AutoClose = xml.HTMLAutoClose
	d.Entity = xml.HTMLEntity
	for {
		_, err := d.Token()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatalf("the page is not well-formed: %v", err)
		}
	}
}

func TestTable(t *testing.T) {
	r := runPlanted(t)
	var b strings.Builder
	if err := r.WriteTable(&b, false); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		line = strings.TrimSuffix(line, "\n")
		if n := utf8.RuneCountInString(line); n > tableWidth || strings.TrimRight(line, " ") != line {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	for _, want := range []string{"FAIL 2/2", "n/a [2]", "[2]   nothing to see", "refcount, tcp4: <b>it differs</b>"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &b)
		}
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("a plain table has colours")
	}
	var colored strings.Builder
	if err := r.WriteTable(&colored, true); err != nil {
		t.Fatal(err)
	}
	if stripped := stripColors(colored.String()); stripped != b.String() {
		t.Errorf("without its colours the table is another:\n%s", stripped)
	}
}

func stripColors(s string) string {
	for _, c := range []string{green, red, dim, bold, plain} {
		s = strings.ReplaceAll(s, c, "")
	}
	return s
}
