package socket

import (
	"errors"
	"runtime"
	"sync"
	"weak"
)

// A tlsUse is a side that is to be kept up to date: that of a listener or of a
// dialer. Connections have the side alone, and do not keep the use alive.
type tlsUse struct{ *tlsSide }

// uses are all that live. A dialer has no end but that nobody has it any more.
var uses struct {
	mu   sync.Mutex
	list map[weak.Pointer[tlsUse]]bool
}

// newTLSUse reads the files of an address, and keeps them up to date.
func newTLSUse(a Address, s *settings, u use) (*tlsUse, error) {
	d, err := newTLSSide(a, s, u)
	if err != nil {
		return nil, err
	}
	used := &tlsUse{d}
	p := weak.Make(used)
	uses.mu.Lock()
	defer uses.mu.Unlock()
	if uses.list == nil {
		uses.list = make(map[weak.Pointer[tlsUse]]bool)
	}
	uses.list[p] = true
	runtime.AddCleanup(used, forgetUse, p)
	return used, nil
}

func forgetUse(p weak.Pointer[tlsUse]) {
	uses.mu.Lock()
	defer uses.mu.Unlock()
	delete(uses.list, p)
}

// end is for a use whose end is known.
func (d *tlsUse) end() { forgetUse(weak.Make(d)) }

// ReloadCertificates reads the files of certificates and keys again, of all
// addresses that are listened on or have a [Dialer]. Connections from then on use
// them; those that stand go on as they are. Where the new files do not parse or
// do not fit each other the old ones stay in use, and the error says which file
// and why; it joins those of all addresses.
//
// Files that change are noticed without it too, at a handshake, a second later at
// most.
func ReloadCertificates() error {
	uses.mu.Lock()
	var list []weak.Pointer[tlsUse]
	for p := range uses.list {
		list = append(list, p)
	}
	uses.mu.Unlock()
	failed := make(map[weak.Pointer[tlsUse]]error)
	for _, p := range list {
		if d := p.Value(); d != nil {
			if err := d.reload(); err != nil {
				failed[p] = err
			}
		}
	}
	if len(failed) == 0 {
		return nil
	}
	// A dialer that was replaced, and whose files are gone, is no concern of
	// anybody's.
	runtime.GC()
	var errs []error
	for p, err := range failed {
		if p.Value() != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
