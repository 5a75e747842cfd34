package preface_test

import (
	"fmt"
	"net/netip"

	"relayd/relay/preface"
)

// A header that a proxy in front of us has written is read, and one for the server
// behind us is made of it.
func ExampleParseProxy() {
	seen := []byte("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nGET / HTTP/1.1\r\n")
	h, n, done, err := preface.ParseProxy(seen)
	fmt.Println(h.From(), h.To(), done, err)
	fmt.Printf("%q\n", seen[n:])

	h.Destination = netip.MustParseAddrPort("[2001:db8::1]:443")
	again, err := h.Append(nil, 1)
	fmt.Printf("%q %v\n", again, err)
	// Output:
	// 192.0.2.1:56324 198.51.100.2:443 true <nil>
	// "GET / HTTP/1.1\r\n"
	// "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 56324 443\r\n" <nil>
}

// Routes are chosen by names and protocols.
func ExampleMatch() {
	m := preface.Match{SNI: []string{"*.example.com"}, ALPN: []string{"h2"}}
	fmt.Println(m.Fits(preface.Hello{ServerName: "a.b.example.com", ALPN: []string{"h2", "http/1.1"}}))
	fmt.Println(m.Fits(preface.Hello{ServerName: "example.com", ALPN: []string{"h2"}}))
	fmt.Println(preface.Match{SNI: []string{"https://example.com"}}.Check())
	// Output:
	// true
	// false
	// the server name "https://example.com" has a ':', which no name has: write it without scheme, port and path
}
