package tests

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"relayd/relay"
	"relayd/socket"
	"relayd/tests/leak"
)

// Streams that unpack to far more than they are, through whole relays: with one who
// reads all of it, and with one who reads nothing.

// bombSize is what each of them unpacks to: the packed ones have a thousandth of it,
// or less. It is a multiple of a piece, which is packed once.
var bombSize = flag.Int64("bomb", defaultBomb(), "what a bomb unpacks to, in MiB, a multiple of 16")

const bombPiece = 16 // MiB

// defaultBomb is smaller where all takes ten times as long.
func defaultBomb() int64 {
	if raced {
		return bombPiece
	}
	return 4 * bombPiece
}

// A bomb is a chain that unpacks one, the chain that packs it, and how much a conn
// may hold for it: what its stages say, and a little.
type bomb struct {
	decoder, encoder string
	bound            int64
}

var bombs = []bomb{
	{"gunzip", "gzip", 1 << 20},
	{"unzstd", "zstd:window=8M", 10 << 20},
	{"uns2", "s2", 5 << 20},
	{"gunzip,unzstd:window=128k,uns2", "s2,zstd:window=128k,gzip", 8 << 20}, // one in another in another
}

// pack returns the bomb: very many of one byte, in streams one after the other.
func (b bomb) pack(t *testing.T) []byte {
	t.Helper()
	r, done := stages(t, b.encoder).Open(io.LimitReader(repeating(strings.Repeat("\x00", 1<<10)), bombPiece<<20))
	defer done()
	packed, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Repeat(packed, int(*bombSize/bombPiece))
}

// A peak is the most memory that the process has had since it was begun.
type peak struct{ from int64 }

func beginPeak() peak {
	runtime.GC() // and again, for what the pools have kept
	debug.FreeOSMemory()
	os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // the peak is now what there is
	return peak{inMemory("VmRSS:")}
}

// grown returns by how much, 0 where no system tells. The race detector has several
// times as much for what the process has.
func (p peak) grown() int64 {
	n := inMemory("VmHWM:") - p.from
	if raced {
		n /= racedMemory
	}
	return n
}

const racedMemory = 10

func inMemory(which string) int64 {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, which); ok {
			var kib int64
			fmt.Sscan(rest, &kib)
			return kib << 10
		}
	}
	return 0
}

// A bomb that is read comes out whole, up and down, and takes no memory for it.
func TestBombsRead(t *testing.T) {
	const slack = 32 << 20 // of the collector, which lets as much again lie about
	leak.Check(t)
	for _, b := range bombs {
		packed := b.pack(t)
		total := make(chan int64, 1)
		up := startRelay(t, relay.Config{Up: stages(t, b.decoder), To: serve(t, address(t, "127.0.0.1:0"), func(c conn) {
			n, _ := io.Copy(io.Discard, plain{c})
			total <- n
		})})
		down := startRelay(t, relay.Config{Down: stages(t, b.decoder), To: serve(t, address(t, "127.0.0.1:0"), func(c conn) {
			c.Write(packed)
			c.CloseWrite()
			io.Copy(io.Discard, plain{c})
		})})
		p := beginPeak()
		c := dial(t, up.addr())
		c.Write(packed)
		c.CloseWrite()
		if n := <-total; n != *bombSize<<20 {
			t.Errorf("%s: %d bytes have come out", b.decoder, n)
		}
		c = dial(t, down.addr())
		if n, err := io.Copy(io.Discard, plain{c}); n != *bombSize<<20 || err != nil {
			t.Errorf("%s, down: %d bytes have come out, %v", b.decoder, n, err)
		}
		c.Close()
		grown := p.grown()
		t.Logf("%s: %d MiB out of %d KiB, twice: the process has grown by %d KiB", b.decoder, *bombSize, len(packed)>>10, grown>>10)
		if grown > 2*b.bound+slack {
			t.Errorf("%s: the process has grown by %d MiB", b.decoder, grown>>20)
		}
		up.log.ends(t, 1)
		down.log.ends(t, 1)
	}
}

// Of bombs whose bytes nobody takes there is what their stages hold, and no more;
// an honest client is served beside them, and they can be killed.
func TestBombsUnread(t *testing.T) {
	const n, slack = 4, 32 << 20
	leak.Check(t)
	for _, b := range bombs {
		packed := b.pack(t)
		release, open := context.WithCancel(t.Context())
		to := serve(t, address(t, "127.0.0.1:0"), func(c conn) {
			first := make([]byte, 1)
			if io.ReadFull(c, first); first[0] != 0 {
				c.Write(first)
				echo(c)
				return
			}
			if tcp, ok := c.(*net.TCPConn); ok {
				tcp.SetReadBuffer(16 << 10)
			}
			<-release.Done() // and read nothing
		})
		t.Cleanup(open)
		r := startRelay(t, relay.Config{Up: stages(t, b.decoder), Down: stages(t, b.encoder), To: to})
		near := startRelay(t, relay.Config{Up: stages(t, b.encoder), Down: stages(t, b.decoder), To: r.addr()})
		p, before := beginPeak(), held()
		for range n {
			dial(t, r.addr()).Write(packed)
		}
		until(t, "all of them stall", func() bool {
			stalled := 0
			for _, i := range r.Conns() {
				if i.Up.State == relay.Writing && i.Up.Out > 0 {
					stalled++
				}
			}
			return stalled == n
		})
		// What they hold they hold for good: what a stage has thrown away just before
		// it stalled is not there for long.
		var holds int64
		until(t, fmt.Sprintf("%s: %d conns hold no more than %d MiB", b.decoder, n, n*b.bound>>20), func() bool {
			holds = held() - before
			return holds <= n*b.bound
		})
		c := dial(t, near.addr())
		exchange(t, c, "an honest one")
		finish(t, c, "")
		until(t, "the honest one has ended", func() bool { return r.Live() == n })
		for _, i := range r.Conns() {
			if _, err := r.Kill(t.Context(), i.ID); err != nil {
				t.Error(err)
			}
		}
		if ends := r.log.ends(t, n+1); ends["killed us"] != n {
			t.Errorf("%s: ends: %v", b.decoder, ends)
		}
		open()
		grown := p.grown()
		t.Logf("%s: %d that nobody reads hold %d KiB, the process has grown by %d KiB", b.decoder, n, holds>>10, grown>>10)
		if grown > 2*n*b.bound+slack {
			t.Errorf("%s: the process has grown by %d KiB", b.decoder, grown>>10)
		}
	}
}

// What is made to be dear ends at once, and what goes on without a byte to relay is
// there to be killed.
func TestBombsRefused(t *testing.T) {
	leak.Check(t)
	const gz = "\x1f\x8b\x08"
	const zs2 = "\xff\x06\x00\x00S2sTwO"
	name := strings.Repeat("n", 1<<10)
	skipped := "\x50\x2a\x4d\x18\x00\x00\x10\x00" + strings.Repeat("x", 1<<20)
	empty, done := stages(t, "gzip").Open(bytes.NewReader(nil))
	member, err := io.ReadAll(empty)
	if err != nil {
		t.Fatal(err)
	}
	done()
	p := beginPeak()
	for _, tt := range []struct {
		name, decoder, said string
		again               string // without end
		want                string // in the error
	}{
		{"a window of 2 GiB", "unzstd", "\x28\xb5\x2f\xfd\x00\xa8", "", "asks for a window of 2147483648 bytes"},
		{"a window of 16 MiB", "unzstd", "\x28\xb5\x2f\xfd\x00\x70", "", "asks for a window of 16777216 bytes"},
		{"a segment of 4 GiB", "unzstd", "\x28\xb5\x2f\xfd\xa0\xff\xff\xff\xff", "", "asks for a window of 4294967295 bytes"},
		{"a dictionary", "unzstd", "\x28\xb5\x2f\xfd\x03\x00\x01\x02\x03\x04", "", "wants a dictionary"},
		{"a block of 2 MiB", "unzstd", "\x28\xb5\x2f\xfd\x00\x68\x00\x00\xff", "", "a block is larger"},
		{"skippable frames", "unzstd", skipped, skipped, ""},
		{"one of 4 GiB", "unzstd", "\x50\x2a\x4d\x18\xff\xff\xff\xff", skipped, ""},
		{"empty frames", "unzstd", "", strings.Repeat("\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00", 1000), ""},
		{"empty members", "gunzip", "", strings.Repeat(string(member), 1000), ""},
		{"a name without end", "gunzip", gz + "\x08\x00\x00\x00\x00\x00\x03", name, "corrupt stream"},
		{"a comment without end", "gunzip", gz + "\x10\x00\x00\x00\x00\x00\x03", name, "corrupt stream"},
		{"a chunk of 16 MiB", "uns2", zs2 + "\x00\xff\xff\xff", "", "longer than any that unpacks to a block"},
		{"a block of 4 MiB", "uns2", zs2 + "\x01\x04\x00\x40", "", "a block is larger than the limit"},
		{"an unknown chunk", "uns2", zs2 + "\x02\xff\xff\xff", "", "a type that nobody knows"},
		{"chunks to be skipped", "uns2", zs2, "\x80\xff\xff\x0f" + strings.Repeat("x", 0x0fffff), ""},
		{"streams in a row", "uns2", "", strings.Repeat(zs2, 1000), ""},
	} {
		r := startRelay(t, relay.Config{Up: stages(t, tt.decoder), Down: stages(t, tt.decoder), To: serve(t, address(t, "127.0.0.1:0"), echo)})
		c := dial(t, r.addr())
		io.WriteString(c, tt.said)
		const much = 4 << 20
		for sent := 0; tt.again != "" && sent < much; {
			n, err := io.WriteString(c, tt.again)
			if sent += n; err != nil {
				if tt.want == "" || !socket.IsReset(err) {
					t.Errorf("%s: after %d bytes: %v", tt.name, sent, err)
				}
				break
			}
		}
		if tt.want == "" {
			list := r.Conns()
			if len(list) != 1 {
				t.Errorf("%s: there are %d conns", tt.name, len(list))
				continue
			}
			if _, err := r.Kill(t.Context(), list[0].ID); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		end := r.log.wait(t, "conn ended", 1)[0]
		if tt.want == "" && end.text("reason") != "killed" || tt.want != "" && (end.text("reason") != "stage-failed" || !strings.Contains(end.text("err"), tt.want)) {
			t.Errorf("%s: it ended by %s: %s", tt.name, end.text("reason"), end.text("err"))
		}
		if n := end.attrs["down_bytes"].Int64(); n != 0 {
			t.Errorf("%s: %d bytes were relayed", tt.name, n)
		}
	}
	grown := p.grown()
	t.Logf("the process has grown by %d KiB", grown>>10)
	if grown > 32<<20 {
		t.Errorf("the process has grown by %d MiB", grown>>20)
	}
}
