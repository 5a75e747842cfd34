package chaos

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"relayd/relay/preface"
)

// An entrance is a listener of the relay's, as clients know it.
type entrance struct {
	At    string // HOST:PORT, or the path of a Unix socket
	Unix  bool
	Proxy bool // connections begin with a PROXY header
	TLS   bool // and then with a TLS handshake with the relay
	Gate  bool // it comes and goes
	Ways  []way
}

// A way is what a client may ask for at an entrance, and where that leads.
type way struct {
	Name    string // of the server, in TLS
	Through bool   // the TLS is with the upstream
	Group   int
}

// String says what kind of entrance it is.
func (e entrance) String() string {
	s := "tcp"
	if e.Unix {
		s = "unix"
	}
	if e.Proxy {
		s += "+proxy"
	}
	if e.TLS {
		s += "+tls"
	}
	return s
}

// prankPatience bounds how long a prankster waits for what it gets.
const prankPatience = 3 * time.Second

// call plays the client's side.
func (c *cast) call(e entrance, k *call, r *rand.Rand) {
	p := &player{plan: c.plan(r), s: &k.Client, out: patternOf(k.Number, up), in: patternOf(k.Number, down)}
	to := e.Ways[r.IntN(len(e.Ways))]
	header := c.enter(e, to, k, r)
	conn, err := e.dial(k, p.patience)
	if err != nil {
		k.Client.Plan, k.Client.Refused, k.Client.Err = p.name, true, cause(err).Error()
		return
	}
	k.Connected = true
	p.c = newWire(conn)
	if (e.Proxy || e.TLS) && r.IntN(15) == 0 && !c.isPolite() {
		k.prank(p.c, header, r)
		return
	}
	if err := c.introduce(p.c, e, to, header, r); err != nil {
		k.Client.Plan, k.Client.Err, k.Client.Broken = p.name, err.Error(), true
		p.c.leave()
		return
	}
	if p.send > 0 {
		p.send += headSize
		n, _ := p.c.Write(headOf(k.Number))
		p.head = int64(n)
	}
	p.play(context.Background())
}

// enter notes where a call comes in, where it is to go and who it is from, and
// returns its PROXY header, if it has one. An IPv6 source is one of few, as the
// relay counts them.
func (c *cast) enter(e entrance, to way, k *call, r *rand.Rand) (header []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k.Entrance, k.Group = e.String(), to.Group
	k.Through, k.Unix, k.Gate = to.Through, e.Unix, e.Gate
	if !e.Proxy {
		if !e.Unix {
			k.From = k.home().String()
		}
		return nil
	}
	k.Named = true
	source := k.home().As4()
	source[0] = 10
	from := netip.AddrFrom4(source)
	dest := netip.MustParseAddr("10.0.0.1")
	if r.IntN(2) == 0 {
		from, dest = namedSource(r.IntN(8), k.Number), netip.MustParseAddr("2001:db8::1")
	}
	k.From = from.String()
	h := preface.Header{Source: netip.AddrPortFrom(from, uint16(1+r.IntN(60000))), Destination: netip.AddrPortFrom(dest, 443)}
	version := 1 + r.IntN(2)
	if version == 2 && r.IntN(2) == 0 {
		h.Checksum = true
		h.Set(preface.TypeUniqueID, []byte(k.From))
	}
	header, err := h.Append(nil, version)
	if err != nil {
		panic(err)
	}
	return header
}

// namedSource is one of the addresses of a network, which is one source.
func namedSource(network int, number uint32) netip.Addr {
	a := [16]byte{0x20, 0x01, 0x0d, 0xb8, 0, byte(network)}
	binary.BigEndian.PutUint32(a[12:], number)
	return netip.AddrFrom16(a)
}

// dial connects to the relay.
func (e entrance) dial(k *call, patience time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: patience, KeepAlive: -1}
	if e.Unix {
		return d.Dial("unix", e.At)
	}
	d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(k.home(), 0))
	d.SetMultipathTCP(false)
	return d.Dial("tcp", e.At)
}

// introduce sends what comes before the stream. It may come in pieces.
func (c *cast) introduce(w *wire, e entrance, to way, header []byte, r *rand.Rand) error {
	w.SetDeadline(time.Now().Add(prankPatience))
	defer w.SetDeadline(time.Time{})
	for len(header) > 0 {
		n := len(header)
		if r.IntN(3) == 0 {
			n = 1 + r.IntN(n)
		}
		if _, err := w.Write(header[:n]); err != nil {
			return err
		}
		if header = header[n:]; len(header) > 0 {
			pause(context.Background(), time.Duration(r.IntN(10))*time.Millisecond)
		}
	}
	if e.TLS || to.Through {
		return w.shakeClient(c.Certificate, to.Name)
	}
	return nil
}

// prank begins with something else than what is expected, or not at all, and
// waits for what it gets.
func (k *call) prank(w *wire, header []byte, r *rand.Rand) {
	var text []byte
	switch r.IntN(4) {
	case 0:
		k.Client.Plan = "prank: says nothing"
	case 1:
		k.Client.Plan = "prank: garbage"
		text = make([]byte, 1+r.IntN(200))
		for i := range text {
			text[i] = byte(r.Uint32())
		}
		text[0] = 'G' // begins neither a header nor a record
	case 2:
		k.Client.Plan = "prank: half of it"
		text = []byte{22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3}
		if len(header) > 0 {
			text = header[:len(header)/2]
		}
	case 3:
		k.Client.Plan = "prank: a lie"
		text = fmt.Appendf(nil, "PROXY TCP4 127.0.0.1 10.0.0.%d 1 2\r\n", 256+r.IntN(100))
	}
	k.Prank = true
	w.SetDeadline(time.Now().Add(prankPatience))
	w.Write(text)
	if r.IntN(2) == 0 {
		w.CloseWrite()
	}
	io.Copy(io.Discard, w)
	w.leave()
	k.Client.Broken = true
}
