package socket

import (
	"os"
	"strings"
	"testing"
	"time"
)

// handshake connects to l and returns what was agreed on, as the client sees it.
func handshake(t *testing.T, l *Listener, to Address) (near, far TLSInfo) {
	t.Helper()
	fars := make(chan TLSInfo, 1)
	go func() {
		in, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		s, err := in.Open(At{})
		if err != nil {
			t.Error(err)
		}
		i, err := s.Handshake(t.Context())
		if err != nil {
			t.Error(err)
		}
		fars <- i
		s.Shutdown(t.Context(), errTest)
	}()
	s, err := Dial(t.Context(), to, At{})
	if err != nil {
		t.Fatal(err)
	}
	near, _ = s.TLSInfo()
	far = <-fars
	s.Shutdown(t.Context(), errTest)
	return near, far
}

// A new certificate is used from the next handshake on; one that does not fit its
// key, or is none, leaves the old pair in use, and says which file it is.
func TestReloadCertificates(t *testing.T) {
	p := newPKI(t)
	at := p.server(t, "")
	l, err := Listen(t.Context(), at, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Drop(t.Context())
	to := p.to(t, l, "")
	first, _ := handshake(t, l, to)

	p.issue(t, "server", nil) // in place
	if err := ReloadCertificates(); err != nil {
		t.Fatal(err)
	}
	second, far := handshake(t, l, to)
	if second.SPKI == first.SPKI || far.Stale != nil {
		t.Error("the old certificate is still in use")
	}

	cert, key := p.file("server.pem"), p.file("server.key")
	other, _ := p.issue(t, "other", nil)
	foreign, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	for name, wrong := range map[string]struct {
		content []byte
		want    string
	}{
		"of another key": {foreign, `option "key": ` + key + ": private key does not match public key"},
		"cut":            {foreign[:100], `option "cert": ` + cert + ": has no certificate in PEM"},
	} {
		if err := os.WriteFile(cert, wrong.content, 0o600); err != nil {
			t.Fatal(err)
		}
		err := ReloadCertificates()
		if err == nil || !strings.Contains(err.Error(), wrong.want) || !strings.Contains(err.Error(), "the files before are still in use") {
			t.Errorf("%s: %v; want %s", name, err, wrong.want)
		}
		third, far := handshake(t, l, to)
		if third.SPKI != second.SPKI || far.Stale == nil || far.Stale.Error() != err.Error() {
			t.Errorf("%s: %+v", name, far)
		}
	}
	p.issue(t, "server", nil)
	if err := ReloadCertificates(); err != nil {
		t.Error(err)
	}
	if last, far := handshake(t, l, to); last.SPKI == second.SPKI || far.Stale != nil {
		t.Errorf("%+v", far)
	}
}

// A change is noticed without being told, but files are not looked at more than
// once a second.
func TestCertificatesChange(t *testing.T) {
	p := newPKI(t)
	at := p.server(t, "")
	l, err := Listen(t.Context(), at, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Drop(t.Context())
	to := p.to(t, l, "")
	first, _ := handshake(t, l, to)
	p.issue(t, "server", nil)

	l.tls.mu.Lock()
	l.tls.looked = time.Now().Add(time.Hour) // a look is not due
	l.tls.mu.Unlock()
	if i, _ := handshake(t, l, to); i.SPKI != first.SPKI {
		t.Error("the files were looked at too often")
	}
	l.tls.mu.Lock()
	l.tls.looked = time.Now().Add(-lookFiles) // it is
	l.tls.mu.Unlock()
	if i, _ := handshake(t, l, to); i.SPKI == first.SPKI {
		t.Error("the change was not noticed")
	}

	if err := os.Remove(p.file("server.key")); err != nil {
		t.Fatal(err)
	}
	l.tls.mu.Lock()
	l.tls.looked = time.Time{}
	l.tls.mu.Unlock()
	if _, far := handshake(t, l, to); far.Stale == nil || !strings.Contains(far.Stale.Error(), "server.key: no such file") {
		t.Errorf("%+v", far)
	}
}
