package preface

// A NotTLSError is what is returned for a connection that does not begin with TLS.
type NotTLSError struct {
	What string // what it looks like: "HTTP without TLS"
}

// Error says what there is instead.
func (e *NotTLSError) Error() string { return "not TLS: it looks like " + e.What }

// What a connection may begin with instead of TLS.
var otherwise = []struct{ begins, what string }{
	{"GET ", "HTTP without TLS"},
	{"POST ", "HTTP without TLS"},
	{"HEAD ", "HTTP without TLS"},
	{"PUT ", "HTTP without TLS"},
	{"PATCH ", "HTTP without TLS"},
	{"DELETE ", "HTTP without TLS"},
	{"OPTIONS ", "HTTP without TLS"},
	{"TRACE ", "HTTP without TLS"},
	{"CONNECT ", "HTTP without TLS, to a proxy"},
	{"PRI * HTTP/2", "HTTP/2 without TLS"},
	{"SSH-", "SSH"},
	{signature1, "a PROXY header"},
	{signature2, "a PROXY header"},
}

// whatElse says what a connection begins with, "" for TLS. It is not known while
// what has come could be one thing or another.
func whatElse(seen []byte) (what string, known bool) {
	switch first := seen[0]; {
	case first == recordHandshake:
		switch {
		case len(seen) < 2:
			return "", false
		case seen[1] != 3:
			return "binary data", true
		}
		return "", true
	case first == recordAlert:
		return "an alert of TLS", true
	case first >= 0x80:
		return maybeSSL2(seen)
	}
	for _, o := range otherwise {
		if begins(seen, o.begins) {
			if len(seen) < len(o.begins) {
				return "", false
			}
			return o.what, true
		}
	}
	if c := seen[0]; c >= ' ' && c < 0x7f || c == '\r' || c == '\n' {
		return "text", true
	}
	return "binary data", true
}

const recordAlert = 21

// maybeSSL2 looks at what may be a ClientHello of SSL 2.0: two bytes of length,
// the first bit set, and the message's type.
func maybeSSL2(seen []byte) (what string, known bool) {
	switch {
	case len(seen) < 3:
		return "", false
	case seen[2] == messageHello:
		return "SSL 2.0, which is too old to name a server", true
	}
	return "binary data", true
}
