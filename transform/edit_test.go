package transform

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func chainOf(t testing.TB, text string) Chain {
	t.Helper()
	c, err := ParseChain(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestChainInsert(t *testing.T) {
	for _, x := range []struct{ chain, place, want string }{
		{"", "", "count"},
		{"", "wire", "count"},
		{"hexdump", "", "hexdump,count"},
		{"hexdump", "first", "count,hexdump"},
		{"hexdump,gzip", "plain", "hexdump,count,gzip"},
		{"hexdump,gzip", "", "hexdump,count,gzip"},
		{"hexdump,gzip", "wire", "hexdump,gzip,count"},
		{"gunzip,hexdump", "plain", "gunzip,count,hexdump"},
		{"gunzip,hexdump", "wire", "count,gunzip,hexdump"},
		{"zstd,gzip", "plain", "count,zstd,gzip"},
		{"zstd,gzip", "wire", "zstd,gzip,count"},
		{"zstd,gzip", "gzip", "zstd,count,gzip"},
		{"zstd,gzip", "2", "zstd,count,gzip"},
		{"zstd,gzip", "last", "zstd,gzip,count"},
	} {
		before := chainOf(t, x.chain)
		got, err := before.Insert(x.place, chainOf(t, "count")[0])
		if err != nil || got.String() != x.want || before.String() != x.chain {
			t.Errorf("%q with a stage at %q is %q, %v; want %q", x.chain, x.place, got, err, x.want)
		}
	}
}

func TestChainReplaceRemove(t *testing.T) {
	before := chainOf(t, "gzip,hexdump,count")
	for which, want := range map[string]string{"2": "gzip,s2,count", "hexdump": "gzip,s2,count", "count": "gzip,hexdump,s2"} {
		if got, err := before.Replace(which, chainOf(t, "s2")[0]); err != nil || got.String() != want {
			t.Errorf("replace %s: %q, %v", which, got, err)
		}
	}
	for which, want := range map[string]string{"1": "hexdump,count", "hexdump": "gzip,count", "3": "gzip,hexdump"} {
		if got, err := before.Remove(which); err != nil || got.String() != want {
			t.Errorf("remove %s: %q, %v", which, got, err)
		}
	}
	if before.String() != "gzip,hexdump,count" {
		t.Errorf("the chain itself has become %q", before)
	}
}

func TestChainEditErrors(t *testing.T) {
	twice := chainOf(t, "gzip,count,count")
	for which, want := range map[string]string{
		"0": "no stage 0", "4": "the chain has 1 gzip, 2 count, 3 count", "-1": "no stage -1",
		"count": "several stages count", "zstd": `no stage "zstd"`, "": `no stage ""`,
	} {
		if _, err := twice.Remove(which); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("remove %q: %v", which, err)
		}
		if _, err := twice.Replace(which, twice[0]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("replace %q: %v", which, err)
		}
	}
	if _, err := (Chain{}).Remove("1"); err == nil || !strings.Contains(err.Error(), "the chain is empty") {
		t.Error(err)
	}
	if _, err := twice.Insert("middle", twice[0]); err == nil || !strings.Contains(err.Error(), "first, last, plain or wire") {
		t.Error(err)
	}
}

// The two ends of a tunnel undo each other.
func TestTunnel(t *testing.T) {
	out, in, err := chainOf(t, "zstd,gzip:level=9,s2").Tunnel()
	if err != nil || out.String() != "zstd,gzip:level=9,s2" || in.String() != "uns2,gunzip,unzstd" {
		t.Fatalf("out %q, in %q, %v", out, in, err)
	}
	text := strings.Repeat("through the tunnel ", 10_000)
	r, closeOut := out.Open(strings.NewReader(text))
	defer closeOut()
	r, closeIn := in.Open(r)
	defer closeIn()
	if got, err := io.ReadAll(r); err != nil || string(got) != text {
		t.Errorf("%d bytes arrive, %v", len(got), err)
	}
	for encode, decode := range map[string]string{
		"s2:block=4M": "uns2:block=4M", "zstd:level=9,window=1M,idle=1s": "unzstd:window=1M", "gzip:idle=off": "gunzip",
	} {
		if _, in, err := chainOf(t, encode).Tunnel(); err != nil || in.String() != decode {
			t.Errorf("%s is undone by %q, %v; want %s", encode, in, err, decode)
		}
	}
	if undo, err := chainOf(t, "unzstd:window=128M")[0].Inverse(); err != nil || undo.String() != "zstd" {
		t.Errorf("what cannot take the option: %s, %v", undo, err)
	}
	if out, in, err := (Chain{}).Tunnel(); len(out)+len(in) != 0 || err != nil {
		t.Error(out, in, err)
	}
	for _, bad := range []string{"count", "zstd,exec:cat", "gunzip", "zstd,unzstd"} {
		var stage *Error
		if _, _, err := chainOf(t, bad).Tunnel(); !errors.As(err, &stage) {
			t.Errorf("%s makes a tunnel: %v", bad, err)
		}
	}
}

// What goes through each stage is counted, while it goes and afterwards.
func TestFlows(t *testing.T) {
	site := new(Site)
	if f := site.Flows(); f != nil {
		t.Error("before the chain is open:", f)
	}
	chain := chainOf(t, "gzip,count,gunzip")
	text := bytes.Repeat([]byte("0123456789"), 1000)
	r, closeChain := chain.OpenAt(bytes.NewReader(text), site)
	for i, f := range site.Flows() {
		if f.Stage != chain[i].String() || f.In != 0 || f.Out != 0 || !f.Last.IsZero() {
			t.Errorf("at the beginning: %+v", f)
		}
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, text) {
		t.Fatal(len(got), err)
	}
	closeChain()
	f := site.Flows()
	if len(f) != 3 || f[0].In != int64(len(text)) || f[0].Out != f[1].In || f[1].In != f[1].Out || f[1].Out != f[2].In ||
		f[2].Out != int64(len(text)) || f[0].Out == 0 || f[0].Out > 1000 {
		t.Errorf("at the end: %+v", f)
	}
	for _, f := range f {
		if f.Last.IsZero() {
			t.Errorf("when did %s give something?", f.Name)
		}
	}
}

// What stands beside a tunnel's stages is on the same side of them at both ends.
func TestChainBeside(t *testing.T) {
	for _, x := range []struct{ chain, place, codec, want string }{
		{"count,hash", "plain", "gzip,zstd", "count,hash,gzip,zstd"},
		{"count,hash", "wire", "gzip,zstd", "gzip,zstd,count,hash"},
		{"count,hash", "plain", "unzstd,gunzip", "unzstd,gunzip,count,hash"},
		{"count,hash", "wire", "unzstd,gunzip", "count,hash,unzstd,gunzip"},
		{"count", "wire", "", "count"},
		{"", "wire", "gzip", "gzip"},
	} {
		c, codec := chainOf(t, x.chain), chainOf(t, x.codec)
		if got := c.Beside(x.place, codec).String(); got != x.want {
			t.Errorf("%s at %s of %s: got %s, want %s", x.chain, x.place, x.codec, got, x.want)
		}
		// Insert finds the same side.
		if s := chainOf(t, "slice:1")[0]; x.codec != "" {
			got, err := codec.Insert(x.place, s)
			if want := (Chain{s}).Beside(x.place, codec); err != nil || got.String() != want.String() {
				t.Errorf("at %s of %s: Insert makes %s, %v; want %s", x.place, x.codec, got, err, want)
			}
		}
	}
}
