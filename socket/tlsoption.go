package socket

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
)

// tlsSettings are the settings that only addresses of the kind tls have.
type tlsSettings struct {
	cert, key           string // files
	ca, clientCA        string
	optional            bool // a client need not show a certificate
	sni                 string
	alpn                []string
	min                 uint16
	verify              verification
	allowCN, allowSAN   []string
	allowSPKI           []string
	tunnelKey, identity string // files
	peer                string // a file or a key
}

// A verification is how much of the peer's certificate is checked, beside the
// lists of those allowed.
type verification uint8

const (
	verifyFull     verification = iota // its authority, its dates, and the name that is dialled
	verifyPin                          // its key alone, by allow_spki
	verifyInsecure                     // nothing
)

var verifications = []string{verifyFull: "full", verifyPin: "pin", verifyInsecure: "insecure"}

var tlsOnly = []Kind{TLS}

// tlsOptions are the part of the table that only the kind tls has.
var tlsOptions = []option{
	{name: "cert", kinds: tlsOnly, use: anyUse, value: "FILE", unset: "none", set: setCert,
		doc: "our certificate and those above it, in PEM; read again when it changes"},
	{name: "key", kinds: tlsOnly, use: anyUse, value: "FILE", unset: "in the cert file", set: setKey,
		doc: "its private key, in PEM"},
	{name: "ca", kinds: tlsOnly, use: dialling, value: "FILE", unset: "the system's", set: setCA,
		doc: "certificates of the authorities that are trusted, in PEM"},
	{name: "client_ca", kinds: tlsOnly, use: listening, value: "FILE", unset: "none", set: setClientCA,
		doc: "ask clients for a certificate of these authorities"},
	{name: "client_auth", kinds: tlsOnly, use: listening, value: "require|optional", unset: "require", set: setClientAuth,
		doc: "with client_ca: whether a client must show one"},
	{name: "sni", kinds: tlsOnly, use: dialling, value: "NAME", unset: "the host", set: setSNI,
		doc: "the name to ask for and to verify"},
	{name: "alpn", kinds: tlsOnly, use: anyUse, value: "PROTOCOL", unset: "none", many: true, set: setALPN,
		doc: "a protocol to agree on, such as h2; may be given again, best first"},
	{name: "min", kinds: tlsOnly, use: anyUse, value: "1.2|1.3", unset: "1.2", set: setMinVersion,
		doc: "the oldest TLS version; 1.3 is used where the peer has it"},
	{name: "verify", kinds: tlsOnly, use: anyUse, value: "full|pin|insecure", unset: "full", set: setVerify,
		doc: "pin: by allow_spki alone; insecure: not at all, dialling only"},
	{name: "allow_cn", kinds: tlsOnly, use: anyUse, value: "NAME", unset: "any", many: true, set: setAllowCN,
		doc: "let in peers of this common name, or *.SUFFIX; one allow_ that fits is enough"},
	{name: "allow_san", kinds: tlsOnly, use: anyUse, value: "TYPE:NAME", unset: "any", many: true, set: setAllowSAN,
		doc: "let in peers of this DNS: name (or *.SUFFIX), URI:, IP: or email:"},
	{name: "allow_spki", kinds: tlsOnly, use: anyUse, value: "PIN", unset: "any", many: true, set: setAllowSPKI,
		doc: "let in peers with this key: base64 of the SHA-256 of its SubjectPublicKeyInfo"},
	{name: "tunnel_key", kinds: tlsOnly, use: anyUse, value: "FILE", unset: "none", set: setTunnelKey,
		doc: "be an end of a tunnel whose ends share this key; see relayd keygen --shared"},
	{name: "identity", kinds: tlsOnly, use: anyUse, value: "FILE", unset: "none", set: setIdentity,
		doc: "be an end of a tunnel, with this key of its own; see relayd keygen"},
	{name: "peer", kinds: tlsOnly, use: anyUse, value: "KEY|FILE", unset: "none", set: setPeer,
		doc: "with identity: the other end's public key"},
}

func setCert(s *settings, v string) (string, string)      { return setPath(&s.tls.cert, v) }
func setKey(s *settings, v string) (string, string)       { return setPath(&s.tls.key, v) }
func setCA(s *settings, v string) (string, string)        { return setPath(&s.tls.ca, v) }
func setClientCA(s *settings, v string) (string, string)  { return setPath(&s.tls.clientCA, v) }
func setTunnelKey(s *settings, v string) (string, string) { return setPath(&s.tls.tunnelKey, v) }
func setIdentity(s *settings, v string) (string, string)  { return setPath(&s.tls.identity, v) }

func setPath(to *string, v string) (string, string) {
	if strings.Contains(v, "\x00") {
		return "", "has a zero byte"
	}
	*to = v
	return v, ""
}

// setPeer takes a key, or what is a path because it has a slash.
func setPeer(s *settings, v string) (string, string) {
	if _, err := parseKey(v, publicWord); err != nil && !isPath(v) {
		return "", err.Error() + "; a file is written with a slash, as ./peer.pub"
	}
	return setPath(&s.tls.peer, v)
}

// isPath tells a path from a key that is not one: base64 has slashes too.
func isPath(v string) bool { return strings.Contains(v, "/") && !strings.HasPrefix(v, publicWord) }

// peerFile returns the file that has the peer's key, or "".
func (s *tlsSettings) peerFile() string {
	if _, err := parseKey(s.peer, publicWord); err == nil {
		return ""
	}
	return s.peer
}

func setClientAuth(s *settings, v string) (string, string) {
	if v != "require" && v != "optional" {
		return "", fmt.Sprintf("%q is neither require nor optional", v)
	}
	s.tls.optional = v == "optional"
	return v, ""
}

func setSNI(s *settings, v string) (string, string) {
	if strings.ContainsAny(v, notInHosts+":*\x00") || len(v) > 253 {
		return "", fmt.Sprintf("%q is not a name", v)
	}
	s.tls.sni = v
	return v, ""
}

func setALPN(s *settings, v string) (string, string) {
	if v == "" || len(v) > 255 {
		return "", fmt.Sprintf("%q is not a protocol's name, such as h2 or http/1.1", v)
	}
	s.tls.alpn = append(s.tls.alpn, v)
	return v, ""
}

func setMinVersion(s *settings, v string) (string, string) {
	switch v {
	case "1.2":
		s.tls.min = tls.VersionTLS12
	case "1.3":
		s.tls.min = tls.VersionTLS13
	default:
		return "", fmt.Sprintf("%q is neither 1.2 nor 1.3", v)
	}
	return v, ""
}

func setVerify(s *settings, v string) (string, string) {
	for i, w := range verifications {
		if v == w {
			s.tls.verify = verification(i)
			return v, ""
		}
	}
	return "", fmt.Sprintf("%q is not full, pin or insecure", v)
}

func setAllowCN(s *settings, v string) (string, string) {
	if v == "" || v == "*" || strings.Contains(strings.TrimPrefix(v, "*."), "*") {
		return "", fmt.Sprintf("%q is neither a name nor *.SUFFIX", v)
	}
	s.tls.allowCN = append(s.tls.allowCN, v)
	return v, ""
}

func setAllowSAN(s *settings, v string) (string, string) {
	kind, name, ok := strings.Cut(v, ":")
	wild := strings.HasPrefix(name, "*.")
	switch strings.ToLower(kind) {
	case "dns":
		kind = "DNS"
	case "uri":
		kind = "URI"
	case "ip":
		kind = "IP"
		ip, err := netip.ParseAddr(name)
		if err != nil || ip.Zone() != "" {
			return "", fmt.Sprintf("%q is not an IP address", name)
		}
		name = ip.String()
	case "email":
		kind = "email"
	default:
		ok = false
	}
	switch {
	case !ok || name == "":
		return "", fmt.Sprintf("%q is not DNS:NAME, URI:NAME, IP:ADDRESS or email:ADDRESS", v)
	case kind == "DNS" && (name == "*" || strings.Contains(strings.TrimPrefix(name, "*."), "*")):
		return "", fmt.Sprintf("%q is neither a name nor *.SUFFIX", name)
	case kind != "DNS" && wild:
		return "", fmt.Sprintf("%q: only names of DNS have a *", v)
	}
	v = kind + ":" + name
	s.tls.allowSAN = append(s.tls.allowSAN, v)
	return v, ""
}

func setAllowSPKI(s *settings, v string) (string, string) {
	v = strings.TrimPrefix(v, "sha256/") // as curl and HPKP write it
	if b, err := base64.StdEncoding.Strict().DecodeString(v); err != nil || len(b) != 32 {
		return "", fmt.Sprintf("%q is not a SHA-256 in base64, which has 44 characters", v)
	}
	s.tls.allowSPKI = append(s.tls.allowSPKI, v)
	return v, ""
}

// check returns what is wrong with options that do not go together, for a use.
func (s *tlsSettings) check(u use, has func(string) bool) string {
	secret := s.tunnelKey != "" || s.identity != ""
	lists := len(s.allowCN)+len(s.allowSAN)+len(s.allowSPKI) > 0
	for _, o := range tlsOptions {
		if o.name == "tunnel_key" {
			break // and those after it
		}
		if secret && has(o.name) {
			return fmt.Sprintf("option %q does not go with a tunnel's key, which is all that its ends know each other by", o.name)
		}
	}
	switch {
	case s.tunnelKey != "" && (s.identity != "" || s.peer != ""):
		return `options "identity" and "peer" do not go with "tunnel_key": the ends share a key, or each has its own`
	case (s.identity != "") != (s.peer != ""):
		return `options "identity" and "peer" go together: our own key, and the other end's public one`
	case secret:
		return ""
	case s.key != "" && s.cert == "":
		return `option "key" goes with "cert"`
	case u == listening && s.cert == "":
		return `it has no certificate: give it cert=FILE and key=FILE, or tunnel_key=FILE`
	case s.verify == verifyPin && len(s.allowSPKI) == 0:
		return `verify=pin goes with "allow_spki"`
	case s.verify == verifyPin && (s.ca != "" || s.clientCA != ""):
		return `verify=pin looks at no authority: leave "ca" and "client_ca" out`
	case s.verify == verifyInsecure && (u == listening || lists || s.ca != ""):
		return `verify=insecure is for dialling, without "ca" and without lists of whom to allow`
	case has("client_auth") && s.clientCA == "":
		return `option "client_auth" goes with "client_ca"`
	case u == listening && lists && s.clientCA == "" && s.verify != verifyPin:
		return `whom to allow is known by certificates: give it client_ca=FILE, or verify=pin`
	}
	return ""
}
