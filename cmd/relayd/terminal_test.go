package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"relayd/cmd/relayd/internal/admin"
	"relayd/cmd/relayd/internal/tap"
	"relayd/tests/leak"
)

// placeholder stands where a hostile text is to be.
const placeholder = "PLACEHOLDER"

// fillWith gives a value something everywhere: texts are the placeholder, and lists
// have two elements.
func fillWith(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(placeholder)
	case reflect.Int, reflect.Int64, reflect.Int32:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Uint8: // words, of which the first is one
	case reflect.Uint32, reflect.Uint64, reflect.Uint:
		v.SetUint(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillWith(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fillWith(v.Index(i))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Now()))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fillWith(v.Field(i))
			}
		}
	}
}

// inJSON is an answer of some type with a text in all places. The text is as
// raw as JSON lets it be: bytes that are no UTF-8 are in it as they are.
func inJSON(t *testing.T, v any, text string) []byte {
	t.Helper()
	p := reflect.New(reflect.TypeOf(v))
	fillWith(p.Elem())
	b, err := json.Marshal(p.Interface())
	if err != nil {
		t.Fatal(err)
	}
	var raw strings.Builder
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' {
			fmt.Fprintf(&raw, `\u%04x`, c)
		} else {
			raw.WriteByte(c)
		}
	}
	return bytes.ReplaceAll(b, []byte(placeholder), []byte(raw.String()))
}

// A liar answers at the socket of an admin API, whatever it is asked.
type liar struct {
	t    *testing.T
	text string
	how  string
}

// The ways in which it answers.
var lies = []string{"answers", "refusals", "codes", "nonsense", "words", "status"}

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	switch l.how {
	case "refusals", "codes":
		w.WriteHeader(http.StatusBadRequest)
		e := inJSON(l.t, admin.Error{}, l.text)
		if l.how == "codes" { // those that commands know
			codes := []string{"no_such_conn", "bad_config", "no_such_target", "draining", "bad_request"}
			e = bytes.Replace(e, e[bytes.Index(e, []byte(`"code":`)):bytes.Index(e, []byte(`,"message"`))], fmt.Appendf(nil, `"code":%q`, codes[len(path)%len(codes)]), 1)
		}
		fmt.Fprintf(w, `{"error":%s}`, e)
		return
	case "nonsense":
		io.WriteString(w, l.text)
		return
	case "words": // in place of states, too
		fmt.Fprintf(w, `{"upstreams":[{"name":"x","balance":%[1]s,"members":[{"state":%[1]s}]}],"members":[{"state":%[1]s}],"conns":%[1]s}`, inJSON(l.t, "", l.text))
		return
	case "status":
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, l.text)
		return
	}
	switch {
	case strings.HasSuffix(path, "/tap"):
		fmt.Fprintf(w, "{\"conn\":%s}\n", inJSON(l.t, tap.Header{}, l.text))
		event, _ := json.Marshal(tap.Event{From: "client", Data: []byte(l.text)})
		fmt.Fprintf(w, "%s\n%s\n", event, inJSON(l.t, struct {
			From string `json:"from"`
			End  string `json:"end"`
		}{}, l.text))
	case path == "conns":
		w.Write(inJSON(l.t, admin.Conns{}, l.text))
	case strings.HasPrefix(path, "conns/"):
		w.Write(inJSON(l.t, admin.ConnDetail{}, l.text))
	case path == "resources":
		w.Write(inJSON(l.t, admin.Resources{}, l.text))
	case path == "upstreams":
		w.Write(inJSON(l.t, admin.Upstreams{}, l.text))
	case strings.HasPrefix(path, "upstreams/"):
		w.Write(inJSON(l.t, admin.TargetState{}, l.text))
	case path == "reload":
		w.Write(inJSON(l.t, admin.Reload{}, l.text))
	case path == "stages":
		w.Write(inJSON(l.t, admin.StagesChange{}, l.text))
	case path == "kill":
		w.Write(inJSON(l.t, admin.Kills{}, l.text))
	case path == "drain":
		fmt.Fprintf(w, "event: over\ndata: %s\n\n", inJSON(l.t, admin.Drain{}, l.text))
	}
}

// startLiar has it answer at a socket of its own.
func startLiar(t *testing.T) (*liar, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "relayd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ln, err := net.Listen("unix", filepath.Join(dir, "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	l := &liar{t: t}
	server := &http.Server{Handler: l, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	return l, ln.Addr().String()
}

// allHostile is all that terminals obey in one text, and a long one.
var allHostile = []string{strings.Join(hostile, "|"), strings.Repeat("\x1b[31m\u009b", 300), "\u202e\u2066\u2069\u200e\u061c\u2028\x85"}

// What answers at the admin socket may be anybody: what commands make of it does
// not steer the terminal, as text and as JSON, whether it is an answer, a refusal or
// nonsense.
func TestAnswersAreTame(t *testing.T) {
	leak.Check(t)
	l, at := startLiar(t)
	capture := filepath.Join(t.TempDir(), "capture")
	for _, l.how = range lies {
		for _, l.text = range allHostile {
			for _, command := range []string{
				"ps", "ps --json", "ps --tree", "ps --tree --json", "ps x", "ps --orphans", "ps --orphans --json", "ps --filter state=open", "inspect x", "inspect x --json",
				"upstreams", "upstreams --json", "upstreams up a/b", "upstreams down a/b --json", "upstreams drain a/b --dry-run", "reload", "reload --json", "reload --dry-run",
				"stages add up count", "stages add up count --json", "stages set up 1 count --live", "stages rm down 1 --conn x", "kill x", "kill x --json", "kill --filter all=true --dry-run",
				"drain", "drain --follow", "tap x", "tap x --text", "tap x --at wire", "tap x --pcapng " + capture,
			} {
				var out bytes.Buffer
				realMain(append(strings.Fields(command), "--admin", at), &out, &out)
				if got := out.String(); !isTame(got) || got == "" && !strings.Contains(command, "pcapng") {
					t.Errorf("%s, of %s: %s prints %.300q", l.how, command, command, got[untame(got):])
				}
			}
		}
	}
}

// untame is where the first sign is that steers, with a few before it.
func untame(s string) int {
	i := strings.IndexFunc(s, func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) })
	return max(0, i-60)
}
