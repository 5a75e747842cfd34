package tap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"testing"
	"testing/iotest"
	"time"

	"relayd/transform/pcapng/pcapngtest"
)

// everything reads a stream to its end.
func everything(r io.Reader) (h Header, events []Event, err error) {
	x, err := NewReader(r)
	if err != nil {
		return h, nil, err
	}
	for {
		e, err := x.Next()
		if err != nil {
			return x.Header, events, err
		}
		events = append(events, e)
	}
}

// FuzzReader reads anything as the stream of a tap. It does not matter how it was
// cut; only a conn's end ends it; what was read is written and read again as the
// same; and a capture of it is one that others can read.
func FuzzReader(f *testing.F) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.Encode(first{&Header{ID: "9x2k", Client: "10.0.0.7:41402", Upstream: "[::1]:80", Side: "client", Up: []string{"gzip"}}})
	for _, x := range conversation {
		e.Encode(x)
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:b.Len()-10])
	for _, text := range []string{
		`{"conn":null}`, `{"conn":{}}` + "\n" + `{"from":"us"}` + "\n" + `{"from":"us"}`, "{", "\n\n", `{"conn":{"id":5}}`,
		`{"conn":{"client":"1.2.3.4:5","upstream":"1.2.3.4:5"}}` + "\n" + `{"from":"upstream","offset":-9223372036854775808,"missed":9223372036854775807,"data":"AA==","at":"9999-12-31T23:59:59Z"}` + "\n" + `{"end":"fin"}` + "\n" + `{"data":"AAAA"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		h, events, err := everything(bytes.NewReader(stream))
		h1, events1, err1 := everything(iotest.OneByteReader(bytes.NewReader(stream)))
		if !reflect.DeepEqual(h, h1) || !reflect.DeepEqual(events, events1) || fmt.Sprint(err) != fmt.Sprint(err1) {
			t.Fatalf("%v, and byte by byte %v", err, err1)
		}
		ended := len(events) > 0 && events[len(events)-1].From == "us"
		if (err == io.EOF) != ended {
			t.Errorf("the last event is of us: %v, and %v", ended, err)
		}
		if !ended || len(events) > 1000 {
			return
		}
		checkWrittenAgain(t, h, events)
		checkCapture(t, h, events)
	})
}

// checkWrittenAgain writes what was read, and reads it again.
func checkWrittenAgain(t *testing.T, h Header, events []Event) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	if err := e.Encode(first{&h}); err != nil {
		t.Fatal(err)
	}
	for _, x := range events {
		if err := e.Encode(x); err != nil {
			t.Fatal(err)
		}
	}
	h2, again, err := everything(&b)
	if err != io.EOF || len(again) != len(events) || h2.ID != h.ID || h2.Client != h.Client {
		t.Fatalf("%d events become %d, %v", len(events), len(again), err)
	}
	for i := range again {
		if !again[i].At.Equal(events[i].At) || !bytes.Equal(again[i].Data, events[i].Data) || again[i].End != events[i].End || again[i].Offset != events[i].Offset {
			t.Fatalf("%+v becomes %+v", events[i], again[i])
		}
	}
}

// checkCapture keeps what was read as a capture, and reads that, but for the gaps,
// which the reader does not take.
func checkCapture(t *testing.T, h Header, events []Event) {
	t.Helper()
	for _, gaps := range []bool{true, false} {
		var b bytes.Buffer
		c, err := NewCapture(&b, h, time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range events {
			if !gaps {
				x.Missed = 0
			}
			if err := c.Add(x); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Fatalf("%+v: %v", x, err)
			}
		}
		if _, err := pcapngtest.Read(b.Bytes()); err != nil && !gaps {
			t.Fatalf("the capture cannot be read: %v", err)
		}
	}
}
