package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzEvents reads anything as the events of a drain: it does not matter how they
// were cut, and an end that was not announced is none. What our server sends, with
// anything of others' in between, is read as it was.
func FuzzEvents(f *testing.F) {
	for _, text := range []string{
		"event: progress\ndata: {\"live\": 1}\n\n: alive\n\nevent: over\ndata: {\"over\": true}\n\n", "data: {\ndata: }\n\n",
		"event:over\r\ndata:{}\r\n\r\n", "retry: 5\nid: 1\n\n\n\nevent: x\n\n", "data: x\n\n", "data", ":", "event: over\ndata: {}",
	} {
		f.Add(text, 1, 2, true)
	}
	read := func(r io.Reader) (list []Drain, err error) {
		err = readEvents(r, func(d Drain) { list = append(list, d) })
		return list, err
	}
	f.Fuzz(func(t *testing.T, text string, live, cut int, over bool) {
		list, err := read(strings.NewReader(text))
		again, err2 := read(iotest.OneByteReader(strings.NewReader(text)))
		if !reflect.DeepEqual(list, again) || fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Fatalf("%q: %v, %v; byte by byte %v, %v", text, list, err, again, err2)
		}
		if n := strings.Count(text, "\n") + 1; len(list) > n/2 {
			t.Errorf("%d events of %d lines: %q", len(list), n, text)
		}
		if err == nil && !strings.Contains(text, "over") || err == io.EOF {
			t.Errorf("%q ends with %v", text, err)
		}
		want := Drain{Draining: true, Live: live, Cut: cut, Over: over}
		line, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		comment := ":" + strings.NewReplacer("\n", " ", "\r", " ").Replace(text[:min(len(text), 1<<10)])
		sent := fmt.Sprintf("%s\nevent: progress\n%s\ndata: %s\n\nevent: over\ndata: {}\n\n", comment, comment, line)
		if list, err = read(strings.NewReader(sent)); err != nil || len(list) != 2 || list[0] != want {
			t.Errorf("%q is read as %+v, %v", sent, list, err)
		}
	})
}

// A step that never ends is given up.
func TestEndlessEvent(t *testing.T) {
	line := strings.NewReader(strings.Repeat("data: "+strings.Repeat("x", 1000)+"\n", 1000))
	if err := readEvents(line, nil); !errors.Is(err, errLongEvent) {
		t.Errorf("got %v", err)
	}
	if line.Len() == 0 {
		t.Error("all of it was read")
	}
}
