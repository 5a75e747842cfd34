package chaos

import (
	"context"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"sync"
)

// A connEnd is how a conn ended, as the log has it.
type connEnd struct {
	id, reason, first string
	client            string // its IP address, or what the log has instead
	err               string
	up, down          int64
	truncated         bool
}

// A journal keeps the ends of conns, by the client's IP address, which has the
// number of the call. It is the relay's log.
type journal struct {
	mu   sync.Mutex
	list map[uint32][]connEnd
}

func newJournal() *journal { return &journal{list: make(map[uint32][]connEnd)} }

func (j *journal) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelDebug } // who goes before his preface is a debug line
func (j *journal) WithAttrs([]slog.Attr) slog.Handler           { return j }
func (j *journal) WithGroup(string) slog.Handler                { return j }

// Handle keeps what is an end.
func (j *journal) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "conn ended" {
		return nil
	}
	var e connEnd
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "id":
			e.id = a.Value.String()
		case "reason":
			e.reason = a.Value.String()
		case "first_closer":
			e.first = a.Value.String()
		case "up_bytes":
			e.up = a.Value.Int64()
		case "down_bytes":
			e.down = a.Value.Int64()
		case "truncated":
			e.truncated = a.Value.Bool()
		case "err":
			e.err = a.Value.String()
		case "client":
			e.client = a.Value.String()
		}
		return true
	})
	number := uint32(nameless)
	if at, err := netip.ParseAddrPort(e.client); err == nil {
		e.client, number = at.Addr().String(), numberIn(at.Addr())
	} else if e.client == "@" {
		e.client = ""
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list[number] = append(j.list[number], e)
	return nil
}

// numberIn returns the number of the call that has an address: its own, or one in
// a PROXY header.
func numberIn(a netip.Addr) uint32 {
	b := a.As16()
	number := binary.BigEndian.Uint32(b[12:])
	if a.Is4() {
		number &= 1<<24 - 1
	}
	return number
}

// ends returns all, by the number of the call.
func (j *journal) ends() map[uint32][]connEnd {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.list
}
