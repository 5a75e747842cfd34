package socket

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"time"
)

// Keys of tunnels. The two ends of a tunnel are relays of one operator, and know
// each other by keys alone: by one that both have, or each by its own and the
// other's public one. What goes over the wire is TLS 1.3 in both cases, in which
// each side shows a certificate that was made up at its start, and is held to its
// public key. It says nothing else.

// KeySize is how many bytes a key of a tunnel has.
const KeySize = 32

// Key files have the key in a line of its own, after a word that says what it is.
// Lines that begin with # are comments. Without a word the 32 bytes, in hex or
// base64, are taken for what is wanted.
const (
	sharedWord  = "relayd-shared-key:"
	privateWord = "relayd-private-key:"
	publicWord  = "relayd-public-key:"
)

var keyWords = []string{sharedWord, privateWord, publicWord}

// The errors of handshakes with other keys say no more, to both sides.
var errOtherKey = errors.New("the two ends have keys that do not belong together")

// A KeyPair is a key of a tunnel's end, new: as NewKey makes it.
type KeyPair struct {
	File   []byte // what the key file is to have, which only its owner may read
	Public string // what the other end is to be given; "" of a shared key
}

// NewKey makes a key: one that both ends are to share, or one end's own.
func NewKey(shared bool) (KeyPair, error) {
	seed := make([]byte, KeySize)
	if _, err := rand.Read(seed); err != nil {
		return KeyPair{}, err
	}
	text := base64.StdEncoding.EncodeToString(seed)
	if shared {
		return KeyPair{File: []byte("# A key that both ends of a tunnel share. Keep it secret.\n" + sharedWord + text + "\n")}, nil
	}
	public := publicWord + base64.StdEncoding.EncodeToString(ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey))
	return KeyPair{
		File:   []byte("# One end's own key of a tunnel. Keep it secret; the other end has\n# " + public + "\n" + privateWord + text + "\n"),
		Public: public,
	}, nil
}

// maxKeyFile is more than any file of one key has.
const maxKeyFile = 16 << 10

// readKey reads a key of the kind that word says.
func readKey(option, path, word string) ([]byte, error) {
	b, err := readSmall(option, path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	key, err := parseKeyFile(string(b), word)
	if err != nil {
		return nil, fileError(option, path, err)
	}
	return key, nil
}

// parseKeyFile finds the one key in the text of a file.
func parseKeyFile(text, word string) ([]byte, error) {
	line := ""
	for l := range strings.Lines(text) {
		l = strings.TrimSpace(l)
		if l == "" || l[0] == '#' {
			continue
		}
		if line != "" {
			return nil, errors.New("has more than one line of key")
		}
		line = l
	}
	return parseKey(line, word)
}

// parseKey parses a line of a key file, or a public key of an option. Its errors
// do not quote the text, which may be a secret.
func parseKey(text, word string) ([]byte, error) {
	for _, w := range keyWords {
		if w != word && strings.HasPrefix(text, w) {
			return nil, fmt.Errorf("has a %s where a %s is wanted", keyName(w), keyName(word))
		}
	}
	text = strings.TrimPrefix(text, word)
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.Strict().DecodeString, base64.RawStdEncoding.Strict().DecodeString,
	} {
		if key, err := decode(text); err == nil && len(key) == KeySize {
			if bytes.Count(key, key[:1]) == KeySize {
				break // of one byte, again and again
			}
			return key, nil
		}
	}
	return nil, fmt.Errorf("is not %d random bytes in hex or base64 (a password will not do): relayd keygen makes a %s", KeySize, keyName(word))
}

// keyName is a word without its punctuation: "shared key".
func keyName(word string) string {
	return strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(word, "relayd-"), ":"), "-", " ")
}

// roles are the two ends of a tunnel: who dials is near.
var roles = map[bool]string{true: "near", false: "far"}

// roleKey derives a role's key from a shared one: each side knows both, and a
// side that is sent its own certificate back sees that.
func roleKey(shared []byte, client bool) (ed25519.PrivateKey, error) {
	seed, err := hkdf.Key(sha256.New, shared, nil, "relayd tunnel v1, "+roles[client], ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// tunnelKeys returns our key, and the peer's public one.
func (d *tlsSide) tunnelKeys() (own ed25519.PrivateKey, peer ed25519.PublicKey, err error) {
	if d.s.tunnelKey != "" {
		shared, err := readKey("tunnel_key", d.s.tunnelKey, sharedWord)
		if err != nil {
			return nil, nil, err
		}
		theirs, err := roleKey(shared, !d.client)
		if err != nil {
			return nil, nil, err
		}
		own, err = roleKey(shared, d.client)
		return own, theirs.Public().(ed25519.PublicKey), err
	}
	seed, err := readKey("identity", d.s.identity, privateWord)
	if err != nil {
		return nil, nil, err
	}
	if path := d.s.peerFile(); path != "" {
		peer, err = readKey("peer", path, publicWord)
	} else {
		peer, err = parseKey(d.s.peer, publicWord)
	}
	return ed25519.NewKeyFromSeed(seed), peer, err
}

// loadTunnel makes the configuration of one end of a tunnel.
func (d *tlsSide) loadTunnel() (*tls.Config, error) {
	own, peer, err := d.tunnelKeys()
	if err != nil {
		return nil, err
	}
	cert, err := bareCertificate(own)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS13,
		ClientAuth:   tls.RequireAnyClientCert,
		// The name and the authority are made up: the key is what counts.
		InsecureSkipVerify:     true,
		VerifyConnection:       keyPin(peer).verify,
		SessionTicketsDisabled: true,
	}, nil
}

// A keyPin is the one public key that a peer may have.
type keyPin ed25519.PublicKey

func (k keyPin) verify(c tls.ConnectionState) error {
	if len(c.PeerCertificates) == 1 {
		if key, ok := c.PeerCertificates[0].PublicKey.(ed25519.PublicKey); ok && key.Equal(ed25519.PublicKey(k)) {
			return nil
		}
	}
	return &TLSError{"the peer is refused", errOtherKey}
}

// bareCertificate is one that says nothing but the key, and never expires.
func bareCertificate(key ed25519.PrivateKey) (tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // for ever: RFC 5280, 4.1.2.5
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// Tunnel returns a TCP address as one end of a tunnel, whose two ends have the key
// in the file in common: who dials is the near end, who listens the far one. It
// returns an error for addresses of other kinds.
func (a Address) Tunnel(keyFile string) (Address, error) {
	return a.tunnel("tunnel_key=" + escape(keyFile, "%&"))
}

// PinnedTunnel is Tunnel for ends that each have a key of their own, in a file.
// peer is the other end's public key, or a file with it.
func (a Address) PinnedTunnel(keyFile, peer string) (Address, error) {
	return a.tunnel("identity=" + escape(keyFile, "%&") + "&peer=" + escape(peer, "%&"))
}

func (a Address) tunnel(query string) (Address, error) {
	if a.Kind != TCP {
		return a, &AddressError{a.String(), "it cannot be an end of a tunnel with a key: that takes tcp://HOST:PORT"}
	}
	if a.Options != "" {
		query = a.Options + "&" + query
	}
	made, reason := withOptions(Address{Kind: TLS, Host: a.Host, Port: a.Port}, query, true)
	if reason != "" {
		return a, &AddressError{a.String(), reason}
	}
	return made, nil
}

// Warnings returns what is allowed about an address, and should be known: a key
// that others can read, a peer that is not verified. Each is a sentence, without
// a full stop.
func (a Address) Warnings() (list []string) {
	s, err := a.settings(anyUse)
	if err != nil || a.Kind != TLS {
		return nil
	}
	if s.tls.verify == verifyInsecure {
		list = append(list, "verify=insecure: anybody on the way can read and change what is sent")
	}
	key := s.tls.key
	if key == "" {
		key = s.tls.cert
	}
	for _, path := range []string{key, s.tls.tunnelKey, s.tls.identity} {
		if info, err := os.Stat(path); path != "" && err == nil && info.Mode().Perm()&0o077 != 0 {
			list = append(list, fmt.Sprintf("%s has a key, and others than its owner may read it (mode %04o): chmod 600 it", path, info.Mode().Perm()))
		}
	}
	return list
}
