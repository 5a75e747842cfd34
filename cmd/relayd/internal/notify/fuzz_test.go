package notify

import (
	"math/big"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Whatever a service manager has put into the environment: it is taken out, a
// place that is none is nobody, and the watchdog's time is what is written there.
func FuzzEnvironment(f *testing.F) {
	self := strconv.Itoa(os.Getpid())
	for _, place := range []string{"/run/systemd/notify", "@x", "", "@", "/", "relative", "vsock:2:5", "/" + strings.Repeat("x", 200)} {
		f.Add(place, "30000000", self)
		f.Add(place, "1", "")
	}
	for _, usec := range []string{"0", "-1", "9223372036854775807", "9223372036854776", "1e6", "+5", " 5", ""} {
		f.Add("/x", usec, "")
		f.Add("/x", usec, "1")
	}
	names := []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
	f.Fuzz(func(t *testing.T, place, usec, pid string) {
		for i, v := range []string{place, usec, pid} {
			if strings.Contains(v, "\x00") {
				return // no environment has one
			}
			t.Setenv(names[i], v)
		}
		m := New()
		for _, name := range names {
			if v, ok := os.LookupEnv(name); ok {
				t.Errorf("%s is still %q", name, v)
			}
		}
		if (m != nil) != (strings.HasPrefix(place, "/") || strings.HasPrefix(place, "@")) {
			t.Errorf("%q is %+v", place, m)
		}
		d := m.Watchdog()
		if d < 0 || d > 0 && pid != "" && pid != self {
			t.Errorf("%q, %q: %v", usec, pid, d)
		}
		n, ok := new(big.Int).SetString(usec, 10)
		if d > 0 && (!ok || n.Int64() != int64(d/time.Microsecond)) {
			t.Errorf("%q is %v", usec, d)
		}
		if m != nil && m.to.Name != place {
			t.Errorf("%q becomes %q", place, m.to.Name)
		}
	})
}
