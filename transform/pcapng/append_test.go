package pcapng

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"relayd/transform/pcapng/pcapngtest"
)

func openCapture(t testing.TB, name string) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// hello writes a conn that says something.
func hello(t testing.TB, w *Writer, text string) {
	t.Helper()
	c := w.Conn(noon, "", "1.2.3.4:5", "6.7.8.9:10")
	if err := c.Write(Up, noon, []byte(text)); err != nil {
		t.Error(err)
	}
	c.Close(noon)
}

func appendTo(t testing.TB, name, text string) {
	t.Helper()
	f := openCapture(t, name)
	defer f.Close()
	w, err := Append(f)
	if err != nil {
		t.Fatal(err)
	}
	hello(t, w, text)
}

func contents(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Sections follow each other.
func TestAppend(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.pcapng")
	for _, text := range []string{"one", "two", "three"} {
		appendTo(t, name, text)
	}
	s := read(t, contents(t, name), 3)
	if got := string(s[0].Client.Bytes) + string(s[2].Client.Bytes); got != "onethree" {
		t.Errorf("got %q", got)
	}
}

// Two that write at the same time, as two processes may, make one good file.
func TestAppendTogether(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.pcapng")
	first, err := Append(openCapture(t, name))
	if err != nil {
		t.Fatal(err)
	}
	second, err := Append(openCapture(t, name))
	if err != nil {
		t.Fatal(err)
	}
	a := first.Conn(noon, "", "1.2.3.4:1", "1.2.3.4:2")
	b := second.Conn(noon, "", "1.2.3.4:3", "1.2.3.4:4")
	for range 10 {
		a.Write(Up, noon, []byte("a"))
		b.Write(Down, noon, []byte("b"))
	}
	s := read(t, contents(t, name), 2)
	if string(s[0].Client.Bytes) != "aaaaaaaaaa" || string(s[1].Upstream.Bytes) != "bbbbbbbbbb" {
		t.Errorf("got %q and %q", s[0].Client.Bytes, s[1].Upstream.Bytes)
	}
}

// While somebody else writes, a torn end is a block that is being written.
func TestAppendLeavesAnothersBlock(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.pcapng")
	first := openCapture(t, name)
	if _, err := Append(first); err != nil {
		t.Fatal(err)
	}
	before := append(contents(t, name), "\x06\x00\x00\x00\xff"...)
	first.Write(before[headersSize:])
	if _, err := Append(openCapture(t, name)); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, name); !bytes.HasPrefix(got, before) || len(got) != len(before)+headersSize {
		t.Errorf("%d bytes became %d", len(before), len(got))
	}
}

// A lock of somebody else's is waited for, but not for ever.
func TestAppendToLockedFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.pcapng")
	if !lockAlone(openCapture(t, name)) {
		t.Fatal("no locks here")
	}
	if _, err := Append(openCapture(t, name)); !errors.Is(err, errLocked) {
		t.Errorf("got %v", err)
	}
	if got := contents(t, name); len(got) > 0 {
		t.Errorf("%d bytes were written", len(got))
	}
}

// A process can die at any byte of the file. What was whole stays readable, and
// the file can be continued.
func TestAppendToTornFile(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.pcapng")
	appendTo(t, whole, "one")
	appendTo(t, whole, "two")
	file := contents(t, whole)
	for cut := range file {
		name := filepath.Join(dir, "torn.pcapng")
		if err := os.WriteFile(name, file[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		before, _ := pcapngtest.Read(file[:cut])
		appendTo(t, name, "three")
		s, err := pcapngtest.Read(contents(t, name))
		if err != nil {
			// A stream whose conn was cut off cannot come to its end.
			t.Fatalf("cut off at byte %d: %v", cut, err)
		}
		if len(s) != len(before)+1 || string(s[len(s)-1].Client.Bytes) != "three" {
			t.Fatalf("cut off at byte %d: %d streams, there were %d", cut, len(s), len(before))
		}
		for i := range before {
			if !bytes.Equal(s[i].Client.Bytes, before[i].Client.Bytes) {
				t.Fatalf("cut off at byte %d: stream %d is another", cut, i)
			}
		}
	}
}

// Nobody's file is damaged because its name was given by mistake.
func TestAppendToSomethingElse(t *testing.T) {
	capture := filepath.Join(t.TempDir(), "capture")
	appendTo(t, capture, "one")
	good := contents(t, capture)
	odd := bytes.Clone(good)
	binary.LittleEndian.PutUint32(odd[4:], 7)
	endless := append(bytes.Clone(good), make([]byte, 2*maxTorn)...)
	binary.LittleEndian.PutUint32(endless[len(good)+4:], 3*maxTorn)
	for name, text := range map[string]string{
		"text":            "root:x:0:0:root:/root:/bin/bash\n",
		"a byte":          "x",
		"pcap":            "\xd4\xc3\xb2\xa1\x02\x00\x04\x00 and so on, for long enough",
		"a word":          "\x0a\x0d\x0d\x0a and so on, for long enough to be one",
		"a bad length":    string(odd[:len(odd)-4]),
		"much torn":       string(endless),
		"a capture first": string(good) + strings.Repeat("and now for something else", 50_000),
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			w, err := Append(openCapture(t, file))
			if !errors.Is(err, errNotCapture) || !strings.Contains(err.Error(), file) {
				t.Errorf("got %v, %v", w, err)
			}
			if got := contents(t, file); string(got) != text {
				t.Errorf("the file was changed: it has %d bytes, and had %d", len(got), len(text))
			}
		})
	}
}

// Whatever is in a file, it is appended to or left alone.
func FuzzAppend(f *testing.F) {
	name := filepath.Join(f.TempDir(), "seed")
	appendTo(f, name, "one")
	file := contents(f, name)
	f.Add(file)
	f.Add(file[:len(file)-1])
	f.Add(file[:50])
	f.Add(file[:20])
	f.Add([]byte("text"))
	f.Add(append(bytes.Clone(file), "\x06\x00\x00\x00\x0c\x00\x00\x00\x0d\x00\x00\x00"...))
	f.Add([]byte("\x0a\x0d\x0d\x0a\x00\x00\x00\x1c\x1a\x2b\x3c\x4d\x00\x01\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x1c"))
	name = filepath.Join(f.TempDir(), "file")
	f.Fuzz(func(t *testing.T, before []byte) {
		os.Remove(name)
		if err := os.WriteFile(name, before, 0o600); err != nil {
			t.Fatal(err)
		}
		c := openCapture(t, name)
		defer c.Close()
		_, err := Append(c)
		after := contents(t, name)
		if err != nil {
			if !bytes.Equal(after, before) {
				t.Fatalf("%v, and the file was changed", err)
			}
			return
		}
		section := after[len(after)-headersSize:]
		old := after[:len(after)-headersSize]
		if !bytes.HasPrefix(before, old) || len(before)-len(old) > maxTorn {
			t.Fatalf("%d bytes became %d and a section", len(before), len(old))
		}
		if _, err := pcapngtest.Read(section); err != nil {
			t.Fatal(err)
		}
	})
}
