package socket

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func ExampleOptionHelp() {
	for line := range strings.Lines(OptionHelp()) {
		name, _, _ := strings.Cut(line, " ")
		fmt.Println(name)
	}
	// Output:
	// nodelay=true|false
	// keepalive=IDLE/INTERVAL/COUNT|off
	// user_timeout=DURATION|off
	// rcvbuf=SIZE
	// sndbuf=SIZE
	// notsent_lowat=SIZE
	// backlog=N
	// reuseport=true|false
	// fastopen=true|false
	// mptcp=true|false
	// bind=HOST[:PORT]
	// interface=NAME
	// mark=N
	// transparent=true|false
	// mode=OCTAL
	// owner=USER[:GROUP]
	// arg=TEXT
	// grace=DURATION
	// cert=FILE
	// key=FILE
	// ca=FILE
	// client_ca=FILE
	// client_auth=require|optional
	// sni=NAME
	// alpn=PROTOCOL
	// min=1.2|1.3
	// verify=full|pin|insecure
	// allow_cn=NAME
	// allow_san=TYPE:NAME
	// allow_spki=PIN
	// tunnel_key=FILE
	// identity=FILE
	// peer=KEY|FILE
}

// Every default that the table tells is the one that holds.
func TestOptionDefaults(t *testing.T) {
	for _, name := range []string{"nodelay", "keepalive", "user_timeout", "reuseport", "fastopen", "mptcp", "transparent"} {
		for _, o := range options {
			if o.name != name {
				continue
			}
			given := defaults()
			given.given = 0
			if _, reason := o.set(&given, o.unset); reason != "" {
				t.Errorf("%s: %s", name, reason)
			}
			if fmt.Sprint(given) != fmt.Sprint(defaults()) {
				t.Errorf("the default of %s is not %s", name, o.unset)
			}
		}
	}
}

// option reads a socket option of an int.
func (t *kernelTransport) option(level, opt int) (v int) {
	t.again(func(fd int, _ bool) (err error) {
		v, err = unix.GetsockoptInt(fd, level, opt)
		return err
	})
	return v
}

// pairOf listens, dials and accepts, with options on both sides.
func pairOf(t *testing.T, listen, dial string) (accepted, dialled *kernelTransport) {
	t.Helper()
	l, err := listenAt(t, "127.0.0.1:0"+listen)
	if err != nil {
		t.Fatalf("%s: %v", listen, err)
	}
	a := address(t, fmt.Sprintf("127.0.0.1:%d%s", l.Addr().Port, dial))
	d, err := Dial(t.Context(), a, At{})
	if err != nil {
		t.Fatalf("%s: %v", dial, err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s, err := in.Open(At{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Socket{d, s} {
		t.Cleanup(func() { s.Shutdown(t.Context(), errTest) })
	}
	return s.t.(*kernelTransport), d.t.(*kernelTransport)
}

// raw reads a socket option of a listener.
func (l *Listener) option(t *testing.T, level, opt int) (v int) {
	t.Helper()
	raw, err := l.ln.(*kernelListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { v, err = unix.GetsockoptInt(int(fd), level, opt) })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestBind(t *testing.T) {
	for dial, want := range map[string]string{
		"?bind=127.0.0.1": "127.0.0.1:", "?bind=127.8.9.10": "127.8.9.10:", "?bind=localhost": "127.0.0.1:",
	} {
		if runtime.GOOS != "linux" && strings.Contains(dial, "8") {
			continue // has one loopback address only
		}
		accepted, _ := pairOf(t, "", dial)
		if got := accepted.RemoteAddr().String(); !strings.HasPrefix(got, want) {
			t.Errorf("%s comes from %s", dial, got)
		}
	}
	// A port that is taken is one, and says so.
	l, err := listenAt(t, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := l.Addr()
	a.Options = fmt.Sprintf("bind=127.0.0.1:%d", a.Port)
	if _, err := Dial(t.Context(), a, At{}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("from a port in use: %v", err)
	}
}

func TestUnixOwner(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, owner := range []string{me.Uid, me.Username, me.Uid + ":" + me.Gid, ":" + me.Gid} {
		path := filepath.Join(t.TempDir(), "s")
		if _, err := listenAt(t, path+"?owner="+owner); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != defaultOwnedMode {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		st := info.Sys().(*syscall.Stat_t)
		if fmt.Sprint(st.Uid) != me.Uid || fmt.Sprint(st.Gid) != me.Gid {
			t.Errorf("%s: %d:%d", owner, st.Uid, st.Gid)
		}
	}
	path := filepath.Join(t.TempDir(), "s")
	_, err = listenAt(t, path+"?owner=no-such-user&mode=0600")
	var unknown user.UnknownUserError
	if !errors.As(err, &unknown) || !strings.Contains(err.Error(), `"owner"`) {
		t.Errorf("%v", err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the file of a listener that failed is left")
	}
}

// An option for the wrong use is refused before anything is opened.
func TestOptionUse(t *testing.T) {
	var e *AddressError
	if _, err := listenAt(t, "127.0.0.1:0?bind=127.0.0.1"); !errors.As(err, &e) || !strings.Contains(e.Reason, "for dialling") {
		t.Error(err)
	}
	if _, err := Dial(t.Context(), address(t, "127.0.0.1:1?backlog=1"), At{}); !errors.As(err, &e) || !strings.Contains(e.Reason, "for listening") {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", "127.0.0.1:1"); err == nil {
		t.Error("port 1 answers")
	}
}
