package config

// A Listener is a place where connections are accepted, and who may come.
type Listener struct {
	Name string

	On             ListenAddress `key:"on" required:"true" example:"127.0.0.1:7000" doc:"the address; relayd help addresses has the grammar"`
	Route          Name          `key:"route" example:"default" doc:"the route of conns that no match takes; without it they are refused"`
	Match          []Match       `key:"match" doc:"routes by what a TLS client asks for; the first that fits wins; TLS is passed on, unless it ends here"`
	Allow          []Prefix      `key:"allow" example:"[10.0.0.0/8, '2001:db8::/32']" doc:"client networks that may connect; none means all"`
	Deny           []Prefix      `key:"deny" example:"[10.6.6.0/24]" doc:"client networks that may not, whatever allow says"`
	ProxyFrom      []Prefix      `key:"proxy-from" example:"[192.0.2.10]" doc:"load balancers whose conns begin with a PROXY header, v1 or v2, which then tells the client"`
	Limits         AcceptLimits  `key:"limits" doc:"bounds of this listener; 0 or off is no limit"`
	PrefaceTimeout Duration      `key:"preface-timeout" default:"3s" doc:"how long a client has for what comes before its bytes: PROXY header, ClientHello; 10s if TLS ends here, with its handshake"`
	TLS            *TLS          `key:"tls" doc:"end TLS here; the same as the options of a tls:// address"`
}

// A Match sends conns to a route by what their TLS handshake asks for.
type Match struct {
	SNI   []ServerName `key:"sni" example:"[www.example.com, '*.example.org']" doc:"server names: exact, all below a domain, or * for any"`
	ALPN  []Protocol   `key:"alpn" example:"[h2, postgresql]" doc:"application protocols, of which the client offers one; if TLS ends here, the one agreed on"`
	Route Name         `key:"route" required:"true" example:"default" doc:"where they go, if all that is given here fits"`
}

// AcceptLimits bound one listener.
type AcceptLimits struct {
	MaxConns     Count `key:"max-conns" default:"off" doc:"most conns at a time"`
	MaxPerSource Count `key:"max-per-source" default:"off" doc:"most conns at a time from one client address"`
	AcceptRate   Rate  `key:"accept-rate" default:"off" doc:"most conns accepted in a second"`
}

// TLS is how a listener ends TLS: the options of a tls:// address, whose rules
// about what goes together hold here, too.
type TLS struct {
	Cert       Text       `key:"cert" example:"/etc/relayd/tls.crt" doc:"file with our certificate and those above it, in PEM; read again when it changes"`
	Key        Text       `key:"key" example:"/etc/relayd/tls.key" doc:"file with its private key; without it, it is in the cert file"`
	ClientCA   Text       `key:"client-ca" example:"/etc/relayd/clients.crt" doc:"ask clients for a certificate of the authorities in this file"`
	ClientAuth Word       `key:"client-auth" default:"require" words:"require,optional" doc:"with client-ca: whether a client must show one"`
	Verify     Word       `key:"verify" default:"full" words:"full,pin" doc:"pin: clients are known by allow-spki alone"`
	AllowCN    []Text     `key:"allow-cn" example:"[backup]" doc:"let in clients of these common names, or *.SUFFIX; one allow that fits is enough"`
	AllowSAN   []Text     `key:"allow-san" example:"['DNS:backup.example.com']" doc:"let in those of these DNS: names (or *.SUFFIX), URI:, IP: or email:"`
	AllowSPKI  []Text     `key:"allow-spki" example:"['sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=']" doc:"let in those with these keys: base64 of the SHA-256 of the SubjectPublicKeyInfo"`
	ALPN       []Protocol `key:"alpn" example:"[postgresql]" doc:"application protocols to agree on, the best first"`
	Min        Word       `key:"min" default:"1.2" words:"1.2,1.3" doc:"the oldest version of TLS; 1.3 is used where the client has it"`
	TunnelKey  Text       `key:"tunnel-key" example:"/etc/relayd/tunnel.key" doc:"instead of all this: be an end of a tunnel whose ends share the key in this file"`
	Identity   Text       `key:"identity" example:"/etc/relayd/own.key" doc:"or be one with the key of its own in this file"`
	Peer       Text       `key:"peer" example:"/etc/relayd/far.pub" doc:"with identity: the other end's public key, or its file"`
}
