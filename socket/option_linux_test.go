package socket

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"relayd/lifetime"
)

// An optionCase is an option, and what the system says to it.
type optionCase struct {
	options    string
	level, opt int
	want       int
}

func TestTCPOptions(t *testing.T) {
	for _, c := range []optionCase{
		{"", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{"", unix.SOL_SOCKET, unix.SO_OOBINLINE, 1},
		{"", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 30},
		{"", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 10},
		{"", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3},
		{"", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 930_000},
		{"", unix.SOL_SOCKET, unix.SO_PROTOCOL, unix.IPPROTO_TCP},
		{"?nodelay=false", unix.IPPROTO_TCP, unix.TCP_NODELAY, 0},
		{"?keepalive=off", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0},
		{"?keepalive=1m/5s/7", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 60},
		{"?keepalive=1m/5s/7", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 5},
		{"?keepalive=1m/5s/7", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 7},
		{"?user_timeout=1500ms", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 1500},
		{"?user_timeout=off", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 0},
		{"?rcvbuf=64KiB", unix.SOL_SOCKET, unix.SO_RCVBUF, 128 << 10},
		{"?sndbuf=48KiB", unix.SOL_SOCKET, unix.SO_SNDBUF, 96 << 10},
		{"?notsent_lowat=16KiB", unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, 16 << 10},
		{"?mptcp=false", unix.SOL_SOCKET, unix.SO_PROTOCOL, unix.IPPROTO_TCP},
	} {
		accepted, dialled := pairOf(t, c.options, c.options)
		for side, k := range map[string]*kernelTransport{"accepted": accepted, "dialled": dialled} {
			if got := k.option(c.level, c.opt); got != c.want {
				t.Errorf("%q %s: option %d of level %d is %d, want %d", c.options, side, c.opt, c.level, got, c.want)
			}
		}
	}
}

func TestListenOptions(t *testing.T) {
	for _, c := range []optionCase{
		{"?reuseport=true", unix.SOL_SOCKET, unix.SO_REUSEPORT, 1},
		{"", unix.SOL_SOCKET, unix.SO_REUSEPORT, 0},
		{"?fastopen=true", unix.IPPROTO_TCP, unix.TCP_FASTOPEN, fastOpenQueue},
		{"", unix.IPPROTO_TCP, unix.TCP_FASTOPEN, 0},
	} {
		l, err := listenAt(t, "127.0.0.1:0"+c.options)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.option(t, c.level, c.opt); got != c.want {
			t.Errorf("%q: %d, want %d", c.options, got, c.want)
		}
	}
	// Two that share a port.
	first, err := listenAt(t, "127.0.0.1:0?reuseport=true")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listenAt(t, first.Addr().String()); err != nil {
		t.Errorf("the second at %v: %v", first.Addr(), err)
	}
	if _, err := listenAt(t, fmt.Sprintf("127.0.0.1:%d", first.Addr().Port)); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("one that does not share: %v", err)
	}
}

// The length of the backlog is the one that the system tells in TCP_INFO.
func TestBacklog(t *testing.T) {
	for _, text := range []string{"127.0.0.1:0?backlog=7", "[::1]:0?backlog=7"} {
		l, err := listenAt(t, text)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := l.ln.(*kernelListener).SyscallConn()
		raw.Control(func(fd uintptr) {
			// tcpi_sacked of a listener is its backlog.
			if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err != nil || info.Sacked != 7 {
				t.Errorf("the backlog of %s is %d, %v", text, info.Sacked, err)
			}
		})
	}
}

// privileged are options that may be refused: then by name.
func TestPrivilegedOptions(t *testing.T) {
	for _, c := range []optionCase{
		{"mark=7", unix.SOL_SOCKET, unix.SO_MARK, 7},
		{"transparent=true", unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1},
		{"interface=lo", unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, 1},
	} {
		l, err := listenAt(t, "127.0.0.1:0?"+c.options)
		name, _, _ := strings.Cut(c.options, "=")
		switch {
		case errors.Is(err, syscall.EPERM) && strings.Contains(err.Error(), fmt.Sprintf("%q", name)):
		case err != nil:
			t.Errorf("%s: %v", c.options, err)
		case l.option(t, c.level, c.opt) != c.want:
			t.Errorf("%s: %d", c.options, l.option(t, c.level, c.opt))
		}
	}
	if _, err := listenAt(t, "127.0.0.1:0?interface=nosuch0"); !errors.Is(err, syscall.ENODEV) || !strings.Contains(err.Error(), `"interface"`) {
		t.Errorf("an interface that is not there: %v", err)
	}
}

// Multipath and fast open connections carry bytes like others, both ends.
func TestOtherTCPs(t *testing.T) {
	for _, options := range []string{"?mptcp=true", "?fastopen=true"} {
		l, err := listenAt(t, "127.0.0.1:0"+options)
		if err != nil {
			t.Fatal(err)
		}
		d, err := Dial(t.Context(), l.Addr(), At{})
		if err != nil {
			t.Fatal(err)
		}
		r, w := halves(t, d)
		if _, err := io.WriteString(w, "ping"); err != nil {
			t.Fatal(err)
		}
		in, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		s, err := in.Open(At{})
		if err != nil {
			t.Fatal(err)
		}
		sr, sw := halves(t, s)
		want(t, sr, "ping")
		drop(t, w.Drop, sw.Drop)
		for _, r := range []*ReadHalf{r, sr} {
			if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
				t.Errorf("%s: %q, %v", options, rest, err)
			}
		}
		drop(t, r.Drop, sr.Drop, d.dropOnly, s.dropOnly)
		within(t, d.node.Done(), "the release")
		within(t, s.node.Done(), "the release")
	}
}

func TestUnixBuffer(t *testing.T) {
	s, peer := connect(t, filepath.Join(t.TempDir(), "s")+"?sndbuf=32KiB", lifetime.Refcount)
	if got := s.t.(*kernelTransport).option(unix.SOL_SOCKET, unix.SO_SNDBUF); got != 64<<10 {
		t.Errorf("the send buffer of an accepted socket is %d", got)
	}
	peer.Close()
	drop(t, s.dropOnly)
	within(t, s.node.Done(), "the release")
}
