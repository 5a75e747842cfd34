package socket

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Whatever is in a key file: what is read is a key that is read from every other
// way of writing it, and of what is refused nothing is said, for it may be secret.
func FuzzKeyFile(f *testing.F) {
	for _, shared := range []bool{true, false} {
		k, err := NewKey(shared)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(k.File), uint8(0))
		f.Add(string(k.File), uint8(1))
		f.Add(k.Public, uint8(2))
		f.Add("\r\n"+string(k.File)+string(k.File), uint8(1))
	}
	f.Add("# only this\n", uint8(0))
	f.Add(strings.Repeat("ab", 32), uint8(0))
	f.Add("0001020304050607080910111213141516171819202122232425262728293031", uint8(1))
	f.Add("hunter2-hunter2-hunter2", uint8(2))
	f.Fuzz(func(t *testing.T, text string, which uint8) {
		word := keyWords[int(which)%len(keyWords)]
		key, err := parseKeyFile(text, word)
		if err != nil {
			checkPrintable(t, "the error", err.Error())
			for line := range strings.FieldsSeq(text) {
				if line = strings.Trim(line, "#:"); len(line) >= 16 && strings.Contains(err.Error(), line) {
					t.Errorf("the error has %q of the file: %v", line, err)
				}
			}
			return
		}
		if len(key) != KeySize {
			t.Fatalf("the key has %d bytes", len(key))
		}
		for _, written := range []string{
			hex.EncodeToString(key), word + base64.StdEncoding.EncodeToString(key), "# x\n\n\t" + base64.RawStdEncoding.EncodeToString(key) + " \r\n#",
		} {
			if again, err := parseKeyFile(written, word); err != nil || !bytes.Equal(again, key) {
				t.Errorf("a key is read of %q, and not of %q: %v", text, written, err)
			}
		}
	})
}

// Whatever is in the files of certificates and keys: what is taken package tls
// takes, too, and the error says which option and file, and not what is in it.
func FuzzPEM(f *testing.F) {
	certPEM, keyPEM := selfSigned(f, "a.example")
	otherPEM, _ := selfSigned(f, "b.example")
	f.Add(certPEM, keyPEM)
	f.Add(slices.Concat(keyPEM, certPEM), []byte(nil))
	f.Add(slices.Concat(certPEM, otherPEM), keyPEM)
	f.Add(otherPEM, keyPEM)
	f.Add(certPEM[:100], keyPEM[:50])
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), []byte("-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n"))
	dir := f.TempDir()
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	f.Fuzz(func(t *testing.T, certText, keyText []byte) {
		for path, text := range map[string][]byte{cert: certText, key: keyText} {
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, want := tls.X509KeyPair(certText, keyText)
		_, err := loadPair(cert, key)
		checkFileError(t, err, cert, key, keyText)
		if (err == nil) != (want == nil) {
			t.Errorf("%v, and package tls says %v", err, want)
		}
		_, err = loadPair(cert, "") // both in one
		checkFileError(t, err, cert, key, certText)
		pool, err := loadPool("ca", cert)
		checkFileError(t, err, cert, key, certText)
		if (err == nil) != hasCertificate(certText) || err == nil && pool.Equal(x509.NewCertPool()) {
			t.Errorf("an authority: %v", err)
		}
	})
}

func checkFileError(t *testing.T, err error, cert, key string, secret []byte) {
	t.Helper()
	if err == nil {
		return
	}
	text := err.Error()
	if !strings.HasPrefix(text, "option \"") || !strings.Contains(text, cert) && !strings.Contains(text, key) {
		t.Errorf("the error is %q", text)
	}
	for word := range bytes.FieldsSeq(secret) {
		if len(word) >= 40 && strings.Contains(text, string(word)) {
			t.Errorf("the error says what is in the file: %q", text)
		}
	}
}

// selfSigned returns a certificate and its key.
func selfSigned(tb testing.TB, name string) (certPEM, keyPEM []byte) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name, "*." + name},
		IPAddresses: []net.IP{{127, 0, 0, 1}}, EmailAddresses: []string{"x@" + name}, URIs: []*url.URL{{Scheme: "spiffe", Host: "a", Path: "/b"}},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
}

// Whatever certificate a peer shows: it is let in by each of its own names and by
// its key, and not by other ones.
func FuzzPeerCertificate(f *testing.F) {
	for _, name := range []string{"a.example", "*", "x", "\x1b[2J"} {
		certPEM, _ := selfSigned(f, name)
		block, _ := pem.Decode(certPEM)
		f.Add(block.Bytes, "b.example")
		f.Add(block.Bytes, "DNS:a.example")
	}
	f.Fuzz(func(t *testing.T, der []byte, other string) {
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		names := sans(leaf)
		for _, s := range []*tlsSettings{{allowSAN: names}, {allowSPKI: []string{spki(leaf)}}, {allowCN: []string{leaf.Subject.CommonName}}} {
			has := len(s.allowSAN) > 0 || len(s.allowSPKI) > 0 || len(s.allowCN) > 0 && leaf.Subject.CommonName != "" && !strings.HasPrefix(leaf.Subject.CommonName, "*.")
			if got := s.allows(leaf); got != has {
				t.Errorf("%+v lets %q, %q in: %v", s, leaf.Subject.CommonName, names, got)
			}
		}
		for _, n := range append(names, leaf.Subject.CommonName) {
			if strings.EqualFold(n, other) || strings.HasPrefix(other, "*.") || strings.HasPrefix(other, "DNS:*.") || strings.EqualFold(n, "DNS:"+other) {
				return
			}
			if len(n) > 4 && strings.EqualFold(n[:4], "DNS:") && len(other) > 4 && strings.EqualFold(n, other) {
				return
			}
		}
		s := &tlsSettings{allowSAN: []string{other}, allowCN: []string{other}, allowSPKI: []string{other}}
		if spki(leaf) != other && s.allows(leaf) {
			t.Errorf("%q lets %q, %q in", other, leaf.Subject.CommonName, names)
		}
		if err := s.verifyPeer(tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}); (err == nil) != s.allows(leaf) {
			t.Errorf("it is let in: %v", err)
		}
	})
}

// A rule for names fits what a certificate with the rule for its name would be
// good for, as package x509 sees it.
func FuzzAllow(f *testing.F) {
	for _, rule := range []string{"a.example", "*.example.com", "A.EXAMPLE", "*.x", "example.com", "*.*.x", "a.*.x"} {
		for _, name := range []string{"a.example", "a.example.com", "a.b.example.com", "example.com", ".example.com", "x", "a.x"} {
			f.Add(rule, name)
		}
	}
	f.Add("ks.example", "\u212as.example") // the sign for Kelvin
	f.Add("ks.example", "k\u017f.example") // a long s
	f.Add("a\u00ff", "a\xc3\xbe")
	f.Fuzz(func(t *testing.T, rule, name string) {
		a, err := ParseAddress("tls://h:1?allow_cn=" + escape(rule, "%&") + "&allow_san=DNS:" + escape(rule, "%&"))
		if err != nil {
			checkPrintable(t, "the error", err.Error())
			return
		}
		s, err := a.settings(dialling)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(s.tls.allowCN, []string{rule}) || !slices.Equal(s.tls.allowSAN, []string{"DNS:" + rule}) {
			t.Fatalf("%q becomes %q and %q", rule, s.tls.allowCN, s.tls.allowSAN)
		}
		byCN := s.tls.allows(&x509.Certificate{Subject: pkix.Name{CommonName: name}})
		bySAN := s.tls.allows(&x509.Certificate{DNSNames: []string{name}})
		if byCN != bySAN && name != "" && !strings.HasPrefix(name, "*.") {
			t.Errorf("%q fits the common name %q: %v, and the alternative one: %v", rule, name, byCN, bySAN)
		}
		if !isHost(strings.TrimPrefix(rule, "*.")) || !isHost(name) {
			return
		}
		reference := &x509.Certificate{DNSNames: []string{rule}}
		if want := reference.VerifyHostname(name) == nil; byCN != want {
			t.Errorf("%q fits %q: %v, and package x509 says %v", rule, name, byCN, want)
		}
	})
}

// isHost takes names that nobody disagrees about.
func isHost(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ\u212a\u017f") != "" {
			return false
		}
	}
	return len(name) < 250
}
