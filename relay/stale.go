package relay

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"relayd/socket"
)

// A staleness is that files of certificates have changed and cannot be used. It
// is said once for each address, for each way in which that is so.
type staleness struct {
	some atomic.Bool // something is said, of any address
	mu   sync.Mutex
	said map[string]string // by address
}

// look looks at a connection of the address a, and says what is new.
func (s *staleness) look(log *slog.Logger, of *socket.Socket, a socket.Address) {
	info, ok := of.TLSInfo()
	if !ok || info.Stale == nil && !s.some.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := a.String()
	if info.Stale == nil {
		delete(s.said, at)
		s.some.Store(len(s.said) > 0)
		return
	}
	s.some.Store(true)
	if text := info.Stale.Error(); text != s.said[at] {
		if s.said == nil {
			s.said = make(map[string]string)
		}
		s.said[at] = text
		log.Error("certificates not reloaded", "err", info.Stale)
	}
}
