package socket

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// keyFile writes a new key, and returns its file and its public key.
func keyFile(t *testing.T, shared bool) (path, public string) {
	t.Helper()
	k, err := NewKey(shared)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, k.File, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, k.Public
}

func tunnelEnd(t *testing.T, a Address, err error) Address {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// The ends of a tunnel know each other by a key that both have, or by each
// other's public one, and say nothing else.
func TestTunnels(t *testing.T) {
	shared, _ := keyFile(t, true)
	other, _ := keyFile(t, true)
	a, publicA := keyFile(t, false)
	b, publicB := keyFile(t, false)
	c, publicC := keyFile(t, false)
	bFile := filepath.Join(t.TempDir(), "b.pub")
	if err := os.WriteFile(bFile, []byte("# far\n"+publicB+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	type end func(Address) (Address, error)
	share := func(file string) end { return func(a Address) (Address, error) { return a.Tunnel(file) } }
	pin := func(file, peer string) end {
		return func(a Address) (Address, error) { return a.PinnedTunnel(file, peer) }
	}
	for name, p := range map[string]struct {
		near, far end
		ok        bool
	}{
		"shared":         {share(shared), share(shared), true},
		"another":        {share(shared), share(other), false},
		"pinned":         {pin(a, publicB), pin(b, publicA), true},
		"pinned by file": {pin(a, bFile), pin(b, strings.TrimPrefix(publicA, publicWord)), true},
		"near unknown":   {pin(c, publicB), pin(b, publicA), false},
		"far unknown":    {pin(a, publicC), pin(b, publicA), false},
		"two sorts":      {share(shared), pin(b, publicA), false},
	} {
		t.Run(name, func(t *testing.T) {
			at, err := p.far(address(t, "127.0.0.1:0"))
			near, far := meet(t, tunnelEnd(t, at, err), func(l *Listener) Address {
				to, err := p.near(address(t, l.Addr().address()))
				return tunnelEnd(t, to, err)
			})
			if p.ok {
				if near.err != nil || far.err != nil {
					t.Fatal(near.err, far.err)
				}
				i := far.info
				if i.Version != "TLS 1.3" || i.Subject != "" || i.SANs != nil || i.SNI != "" || !i.Verified || len(i.SPKI) != 44 {
					t.Errorf("%+v", i)
				}
				return
			}
			if near.err == nil {
				r, _ := halves(t, near.s)
				_, near.err = r.Read(make([]byte, 1))
			}
			for _, err := range []error{near.err, far.err} {
				if !errors.Is(err, errOtherKey) && (err == nil || !strings.Contains(err.Error(), errOtherKey.Error())) {
					t.Error(err)
				}
			}
		})
	}
}

// One end that shows the other's certificate back to it is not the other end: the
// two roles have different keys.
func TestTunnelRoles(t *testing.T) {
	file, _ := keyFile(t, true)
	key, err := readKey("tunnel_key", file, sharedWord)
	if err != nil {
		t.Fatal(err)
	}
	near, _ := roleKey(key, true)
	far, _ := roleKey(key, false)
	again, _ := roleKey(key, true)
	if near.Equal(far) || !near.Equal(again) {
		t.Error("the keys of the two roles are alike, or not always the same")
	}
}

func TestKeyFiles(t *testing.T) {
	k, err := NewKey(true)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSpace(string(k.File[strings.LastIndex(string(k.File), ":")+1:]))
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != KeySize {
		t.Fatal(err, len(raw))
	}
	path := filepath.Join(t.TempDir(), "key")
	for content, want := range map[string]string{
		text:                                  "",
		hex.EncodeToString(raw) + "\n":        "",
		"# a comment\n\n" + sharedWord + text: "",
		strings.TrimRight(text, "="):          "",
		privateWord + text:                    "has a private key where a shared key is wanted",
		publicWord + text:                     "has a public key where a shared key is wanted",
		text + "\n" + text:                    "has more than one line of key",
		"correct horse battery staple":        "a password will not do",
		"":                                    "is not 32 random bytes",
		text[:40]:                             "is not 32 random bytes",
		strings.Repeat("00", KeySize):         "is not 32 random bytes",
		strings.Repeat("x", maxKeyFile+1):     "are the most",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readKey("tunnel_key", path, sharedWord)
		switch {
		case want == "" && (err != nil || string(got) != string(raw)):
			t.Errorf("%.20q: %x, %v", content, got, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path)):
			t.Errorf("%.20q: %v; want %s", content, err, want)
		case want != "" && content != "" && strings.Contains(err.Error(), content):
			t.Errorf("%v quotes what may be a secret", err)
		}
	}
	a, err := address(t, "h:1").Tunnel(path)
	if err != nil || a.String() != "tls://h:1?tunnel_key="+path {
		t.Errorf("%s, %v", a, err)
	}
	if _, err := address(t, "/run/x").Tunnel(path); err == nil || !strings.Contains(err.Error(), "cannot be an end of a tunnel") {
		t.Error(err)
	}
	if list := a.Warnings(); len(list) != 0 {
		t.Errorf("%q", list)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if list := a.Warnings(); len(list) != 1 || !strings.Contains(list[0], "mode 0640") {
		t.Errorf("%q", list)
	}
	if list := address(t, "tls://h:1?verify=insecure").Warnings(); len(list) != 1 || !strings.Contains(list[0], "anybody on the way") {
		t.Errorf("%q", list)
	}
}
