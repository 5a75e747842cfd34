package relay

import (
	"net/netip"
	"slices"

	"relayd/relay/preface"
)

// What a conn tells its upstream first, if the route wants that: a PROXY header
// with who the client is.

// An introduced is what is known of a client beyond the address of its socket.
type introduced struct {
	client string // its address
	to     string // what it has connected to
	// header is the one that it came with, or nil, and hello what it wanted of
	// TLS, or nil.
	header *preface.Header
	hello  *preface.Hello
	tls    *preface.SSL // what became of TLS that ends here, or nil
}

// introduce notes what a preface says of the client. If a PROXY header names one,
// it is the conn's client from now on.
func (c *conn) introduce(r preface.Result) {
	in := &introduced{header: r.Header, hello: r.Hello}
	if info, ok := c.client.TLSInfo(); ok {
		in.tls = &preface.SSL{TLS: true, Version: info.Version, Cipher: info.Cipher, CN: info.CommonName,
			CertConn: info.SPKI != "", CertSession: info.SPKI != ""}
		if !info.Verified { // nor is a certificate good that was not shown
			in.tls.Verify = 1
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unusual().introduced = in
	if h := r.Header; h != nil && h.From() != "" {
		in.client, in.to = h.From(), h.To()
		c.bits.Or(renamed)
	}
}

// clientAddr returns the client's address.
func (c *conn) clientAddr() string {
	if c.bits.Load()&renamed != 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.rare.introduced.client
	}
	return c.from
}

// greet sends the PROXY header that the route wants. The upstream's socket is
// fresh, so this does not wait, not on an event loop either.
func (c *conn) greet() error {
	r := c.path.Load().route
	if r.SendProxy == NoProxy {
		return nil
	}
	var in introduced
	c.mu.Lock()
	if c.rare != nil && c.rare.introduced != nil {
		in = *c.rare.introduced
	}
	c.mu.Unlock()
	if in.client == "" {
		in.client, in.to = c.from, c.client.LocalAddr()
	}
	_, w := c.upstream.Taken()
	return w.WriteNow(c.server().header(r.SendProxy, in))
}

// proxyHeader writes with package preface. What is no IP address the header has no
// words for that servers understand: it then says that the client is unknown. If
// what is to be told is too long, it is left out.
func proxyHeader(v ProxyVersion, of introduced) []byte {
	var h preface.Header
	source, err := netip.ParseAddrPort(of.client)
	destination, err2 := netip.ParseAddrPort(of.to)
	if err == nil && err2 == nil {
		h.Source, h.Destination = source, destination
	}
	if v == ProxyV2TLV {
		full := h
		tell(&full, of)
		if b, err := full.Append(nil, 2); err == nil {
			return b
		}
	}
	b, _ := h.Append(nil, min(int(v), 2)) // it has no TLVs that could be too long
	return b
}

// tell adds what is known beside the addresses: what a header before this one has
// told, and then what TLS has.
func tell(h *preface.Header, of introduced) {
	if of.header != nil {
		h.TLVs = slices.Clone(of.header.TLVs)
	}
	if of.hello != nil && of.hello.ServerName != "" {
		h.Set(preface.TypeAuthority, []byte(of.hello.ServerName))
	}
	if of.tls == nil { // what a ClientHello only offers was not agreed on
		return
	}
	h.SetSSL(*of.tls)
	if of.hello != nil && len(of.hello.ALPN) > 0 {
		h.Set(preface.TypeALPN, []byte(of.hello.ALPN[0]))
	}
}
