package preface

import (
	"net/netip"
	"slices"
)

// MaxProxy is how many bytes a PROXY header of version 2 may have, all in all.
const MaxProxy = 4096

// A Header is what a PROXY header says. If it has no addresses, those of the
// connection that it came by are what there is.
type Header struct {
	Version int // 1 or 2: how it came. Append does not care
	// Local: the proxy does not say whose the connection is. It may be its own,
	// for one to see whether we are there. It has no addresses then.
	Local bool
	// Datagram: what the proxy has is not a stream. Version 2 only.
	Datagram bool

	// Where the connection comes from, and where it was to go. IPv4 addresses
	// that were written as IPv6 are IPv4 here. Both are valid or none is.
	Source, Destination netip.AddrPort
	// Or, if Unix is set, the paths of two Unix sockets, "" for one without a
	// name, which clients mostly are. Abstract names begin with an @.
	Unix                        bool
	SourcePath, DestinationPath string

	// Checksum: the header had one, which was right, or Append is to write one.
	// Version 2 only, as are the TLVs.
	Checksum bool
	TLVs     []TLV // in their order, without checksum and padding
}

// A TLV is one thing more that a proxy says.
type TLV struct {
	Type  TLVType
	Value []byte
}

// A TLVType says what it is. Types that are not named here are kept, too.
type TLVType byte

// The types of the specification, section 2.2.
const (
	TypeALPN      TLVType = 0x01 // the protocol that was agreed on, as in TLS
	TypeAuthority TLVType = 0x02 // the host name that the client wanted: SNI
	typeCRC32C    TLVType = 0x03
	typeNoOp      TLVType = 0x04
	TypeUniqueID  TLVType = 0x05 // the proxy's for the connection, of 128 bytes at most
	TypeSSL       TLVType = 0x20 // see SSL
	TypeNetNS     TLVType = 0x30 // the name of a network namespace
)

// Value returns the value of the first TLV of a type.
func (h *Header) Value(t TLVType) ([]byte, bool) {
	if i := slices.IndexFunc(h.TLVs, func(v TLV) bool { return v.Type == t }); i >= 0 {
		return h.TLVs[i].Value, true
	}
	return nil, false
}

// Set makes value the one of a type; nil removes it.
func (h *Header) Set(t TLVType, value []byte) {
	h.TLVs = slices.DeleteFunc(slices.Clone(h.TLVs), func(v TLV) bool { return v.Type == t })
	if value != nil {
		h.TLVs = append(h.TLVs, TLV{t, value})
	}
}

// From returns the source as a log shows it: an address with its port, the path of
// a Unix socket, or "".
func (h *Header) From() string { return end(h.Source, h.SourcePath) }

// To returns the destination as From does the source.
func (h *Header) To() string { return end(h.Destination, h.DestinationPath) }

func end(a netip.AddrPort, path string) string {
	if a.IsValid() {
		return a.String()
	}
	return path
}
