package socket

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"relayd/tests/leak"
)

// A dialEnd is what became of a dial on a loop.
type dialEnd struct {
	s   *Socket
	err error
}

type dialEnds chan dialEnd

func (c dialEnds) Dialled(_ *Loop, s *Socket, err error) { c <- dialEnd{s, err} }

// waysOfDialling are the two, with a dialer.
func waysOfDialling(t *testing.T) map[string]func(d *Dialer) (*Socket, error) {
	ls, err := StartLoops(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ls.Stop(); ls.Wait() })
	return map[string]func(*Dialer) (*Socket, error){
		"goroutine": func(d *Dialer) (*Socket, error) { return d.Dial(t.Context(), At{}) },
		"loop": func(d *Dialer) (*Socket, error) {
			if !d.OnLoop() {
				t.Fatalf("%v cannot be dialled on a loop", d.Address())
			}
			c := make(dialEnds, 1)
			ls.list[0].Dial(d, At{}, time.Minute, nil, c)
			r := <-c
			return r.s, r.err
		},
	}
}

func addrs(texts ...string) (list []netip.Addr) {
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

// A dialer dials from its sources in turn, of which it leaves out those of the
// other family, and goes by those that have no port.
func TestSources(t *testing.T) {
	for _, c := range []struct {
		listen, from, want string
	}{
		{"127.0.0.1:0", "127.0.0.2", "127.0.0.2 127.0.0.2"},
		{"127.0.0.1:0", "127.0.0.2 ::1 127.0.0.3", "127.0.0.2 127.0.0.3 127.0.0.2"},
		{"127.0.0.1:0", "::ffff:127.0.0.4", "127.0.0.4"},
		{"[::1]:0", "127.0.0.2 ::1", "::1 ::1"},
		// The two are for documentation, and nobody's.
		{"127.0.0.1:0", "198.51.100.77 127.0.0.2 203.0.113.77 127.0.0.3", "127.0.0.2 127.0.0.2 127.0.0.3 127.0.0.3"},
	} {
		for name, dial := range waysOfDialling(t) {
			t.Run(name+" "+c.from, func(t *testing.T) {
				leak.Check(t)
				l, err := listenAt(t, c.listen)
				if err != nil {
					t.Fatal(err)
				}
				d, err := NewDialer(l.Addr(), addrs(strings.Fields(c.from)...)...)
				if err != nil {
					t.Fatal(err)
				}
				for i, want := range strings.Fields(c.want) {
					s, err := dial(d)
					if err != nil {
						t.Fatal(err)
					}
					defer s.Shutdown(t.Context(), errTest)
					k := s.t.(*kernelTransport)
					if got := netip.MustParseAddrPort(k.LocalAddr().String()).Addr().String(); got != want {
						t.Errorf("dial %d is from %s, want %s", i, got, want)
					}
					if k.option(unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT) != 1 {
						t.Error("its port was bound with its address")
					}
				}
			})
		}
	}
}

// TLS is dialled from them, too: a handshake that fails is no reason to take the
// next one.
func TestSourcesOfTLS(t *testing.T) {
	leak.Check(t)
	p, other := newPKI(t), newPKI(t)
	l, err := Listen(t.Context(), p.server(t, ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Drop(t.Context())
	for _, c := range []struct {
		ca, want string
	}{{p.file("ca.pem"), ""}, {other.file("ca.pem"), "is signed by an authority that is not trusted"}} {
		d, err := NewDialer(address(t, fmt.Sprintf("tls://127.0.0.1:%d?ca=%s", l.Addr().Port, c.ca)), addrs("198.51.100.77", "127.0.0.2", "127.0.0.3")...)
		if err != nil {
			t.Fatal(err)
		}
		peer := make(chan string, 1)
		go func() {
			in, err := l.Accept()
			if err != nil {
				peer <- err.Error()
				return
			}
			s, err := in.Open(At{})
			if err != nil {
				peer <- err.Error()
				return
			}
			s.Handshake(t.Context())
			peer <- s.RemoteAddr()
			s.Shutdown(t.Context(), errTest)
		}()
		s, err := d.Dial(t.Context(), At{})
		if said := fmt.Sprint(err); c.want != "" && !strings.Contains(said, c.want) || c.want == "" && err != nil {
			t.Errorf("dial: %v, want %q", err, c.want)
		}
		if got := <-peer; !strings.HasPrefix(got, "127.0.0.2:") {
			t.Errorf("it came from %s", got)
		}
		if got := d.from.turn.Load(); got != 1 {
			t.Errorf("%d turns were taken", got)
		}
		if s != nil {
			s.Shutdown(t.Context(), errTest)
		}
	}
}

func TestNoSourceHasPorts(t *testing.T) {
	l, err := listenAt(t, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for name, dial := range waysOfDialling(t) {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			d, err := NewDialer(l.Addr(), addrs("198.51.100.77", "203.0.113.77")...)
			if err != nil {
				t.Fatal(err)
			}
			var e *Error
			if s, err := dial(d); s != nil || !IsNoPorts(err) || !errors.As(err, &e) || e.Remote != l.Addr().String() {
				t.Errorf("dial: %v, %v", s, err)
			}
		})
	}
}

// Another failure is one, whatever the sources that are left.
func TestSourcesAreNotRetries(t *testing.T) {
	a := refusing(t)
	for name, dial := range waysOfDialling(t) {
		t.Run(name, func(t *testing.T) {
			d, err := NewDialer(a, addrs("127.0.0.1", "127.0.0.2")...)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := dial(d); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("dial: %v", err)
			}
			if got := d.from.turn.Load(); got != 1 {
				t.Errorf("%d turns were taken", got)
			}
		})
	}
}

func TestSourcesThatDoNotFit(t *testing.T) {
	for _, c := range []struct{ to, from, want string }{
		{"127.0.0.1:1", "::1", "is of its family"},
		{"127.0.0.1:1?bind=127.0.0.1", "127.0.0.2", "option bind"},
		{"unix:///s", "127.0.0.1", "is not TCP"},
		{"[::1]:1", "fe80::1%lo", "zone"},
	} {
		var e *AddressError
		if _, err := NewDialer(address(t, c.to), addrs(c.from)...); !errors.As(err, &e) || !strings.Contains(e.Reason, c.want) {
			t.Errorf("%s from %s: %v, want %q", c.to, c.from, err, c.want)
		}
	}
}
