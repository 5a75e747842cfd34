package socket

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"math"
	"net"
	"strconv"
	"strings"
	"time"
)

// The settings are what the options of an address come to.
type settings struct {
	given uint64 // which options were given: bits, by their place in the table

	noDelay     bool
	keepAlive   keepAlive
	userTimeout time.Duration // 0: off
	rcvBuf      int           // these, if given
	sndBuf      int
	notSent     int
	backlog     int
	reusePort   bool
	fastOpen    bool
	mptcp       bool
	bindHost    string
	bindPort    uint16
	device      string
	mark        uint32
	transparent bool
	mode        fs.FileMode
	user, group string // names or numbers, or ""
	args        []string
	grace       time.Duration // 0: the default of package process
	tls         tlsSettings
}

// A keepAlive says when a silent peer is probed; the zero one is never.
type keepAlive struct {
	idle, interval time.Duration
	count          int
}

// The defaults. A user timeout shorter than the time that the relay lets a peer
// stand still (15m) would reset live peers with a closed window; it is longer,
// so that the relay, which knows more, is first.
const (
	defaultIdle        = 30 * time.Second
	defaultInterval    = 10 * time.Second
	defaultProbes      = 3
	defaultUserTimeout = 15*time.Minute + 30*time.Second
)

func defaults() settings {
	return settings{
		noDelay:     true,
		keepAlive:   keepAlive{defaultIdle, defaultInterval, defaultProbes},
		userTimeout: defaultUserTimeout,
		tls:         tlsSettings{min: tls.VersionTLS12},
	}
}

func setNoDelay(s *settings, v string) (string, string)     { return setBool(&s.noDelay, v) }
func setReusePort(s *settings, v string) (string, string)   { return setBool(&s.reusePort, v) }
func setFastOpen(s *settings, v string) (string, string)    { return setBool(&s.fastOpen, v) }
func setMPTCP(s *settings, v string) (string, string)       { return setBool(&s.mptcp, v) }
func setTransparent(s *settings, v string) (string, string) { return setBool(&s.transparent, v) }
func setRcvBuf(s *settings, v string) (string, string)      { return setSize(&s.rcvBuf, v) }
func setSndBuf(s *settings, v string) (string, string)      { return setSize(&s.sndBuf, v) }
func setNotSent(s *settings, v string) (string, string)     { return setSize(&s.notSent, v) }

func setBool(to *bool, v string) (string, string) {
	if v != "true" && v != "false" {
		return "", fmt.Sprintf("%q is neither true nor false", v)
	}
	*to = v == "true"
	return v, ""
}

// units are those of sizes, the largest first.
var units = []struct {
	name string
	size int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}}

// setSize parses a size, which the kernel takes as an int, and doubles.
func setSize(to *int, v string) (string, string) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(v, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 32)
		if err != nil || n < 1 || digits[0] == '+' || n > math.MaxInt32/2/u.size {
			return "", fmt.Sprintf("%q is not a size from 1 to 1023MiB, such as 65536 or 64KiB", v)
		}
		*to = int(n * u.size)
		break
	}
	for _, u := range units {
		if n := int64(*to); n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name, ""
		}
	}
	return "", ""
}

// duration writes d without the parts that are zero: 15m and not 15m0s.
func duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// maxSeconds and maxProbes are the kernel's, see tcp(7).
const (
	maxSeconds = 32767
	maxProbes  = 127
)

func setKeepAlive(s *settings, v string) (string, string) {
	if v == "off" {
		s.keepAlive = keepAlive{}
		return v, ""
	}
	wrong := fmt.Sprintf("%q is neither off nor IDLE/INTERVAL/COUNT in whole seconds, such as 30s/10s/3", v)
	parts := strings.Split(v, "/")
	if len(parts) != 3 {
		return "", wrong
	}
	var times [2]time.Duration
	for i := range times {
		d, err := time.ParseDuration(parts[i])
		if err != nil || d%time.Second != 0 || d < time.Second || d > maxSeconds*time.Second {
			return "", wrong
		}
		times[i] = d
	}
	n, err := strconv.ParseUint(parts[2], 10, 8)
	if err != nil || n < 1 || n > maxProbes {
		return "", wrong
	}
	s.keepAlive = keepAlive{times[0], times[1], int(n)}
	return fmt.Sprintf("%s/%s/%d", duration(times[0]), duration(times[1]), n), ""
}

// setUserTimeout parses a time that the kernel counts in milliseconds.
func setUserTimeout(s *settings, v string) (string, string) {
	if v == "off" {
		s.userTimeout = 0
		return v, ""
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < time.Millisecond || d%time.Millisecond != 0 || d > math.MaxInt32*time.Millisecond {
		return "", fmt.Sprintf("%q is neither off nor a duration in whole milliseconds, such as 15m30s", v)
	}
	s.userTimeout = d
	return duration(d), ""
}

func setGrace(s *settings, v string) (string, string) {
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		return "", fmt.Sprintf("%q is not a duration, such as 2s", v)
	}
	s.grace = d
	return duration(d), ""
}

func setBacklog(s *settings, v string) (string, string) {
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil || n == 0 {
		return "", fmt.Sprintf("%q is not a number from 1 to 65535", v)
	}
	s.backlog = int(n)
	return strconv.Itoa(s.backlog), ""
}

func setMark(s *settings, v string) (string, string) {
	n, err := strconv.ParseUint(v, 0, 32)
	if err != nil {
		return "", fmt.Sprintf("%q is not a number of 32 bits, such as 7 or 0x7", v)
	}
	s.mark = uint32(n)
	return strconv.FormatUint(n, 10), ""
}

// setBind parses HOST, HOST:PORT, [IPv6] and [IPv6]:PORT.
func setBind(s *settings, v string) (string, string) {
	if !strings.Contains(v, ":") || strings.HasSuffix(v, "]") {
		v += ":0"
	}
	host, port, reason := parseHostPort(v)
	if reason == "" && host == "" {
		reason = "its host is missing"
	}
	if reason != "" {
		return "", fmt.Sprintf("%q: %s", v, reason)
	}
	s.bindHost, s.bindPort = host, port
	text := net.JoinHostPort(host, strconv.Itoa(int(port)))
	if port == 0 {
		text = strings.TrimSuffix(text, ":0")
	}
	return text, ""
}

// maxInterface is how long the kernel lets an interface's name be.
const maxInterface = 15

func setInterface(s *settings, v string) (string, string) {
	if len(v) > maxInterface || strings.ContainsAny(v, "/ \x00") {
		return "", fmt.Sprintf("%q is not the name of a network interface", v)
	}
	s.device = v
	return v, ""
}

func setMode(s *settings, v string) (string, string) {
	n, err := strconv.ParseUint(v, 8, 32)
	if err != nil || n == 0 || n > 0o777 {
		return "", fmt.Sprintf("%q is not an octal number from 0001 to 0777", v)
	}
	s.mode = fs.FileMode(n)
	return fmt.Sprintf("%04o", n), ""
}

func setOwner(s *settings, v string) (string, string) {
	user, group, hasGroup := strings.Cut(v, ":")
	if user == "" && group == "" || hasGroup && group == "" || strings.Contains(group, ":") {
		return "", fmt.Sprintf("%q is not USER, USER:GROUP or :GROUP", v)
	}
	for _, name := range []string{user, group} {
		// The kernel takes -1, in 32 bits, for nobody new: the file would be nobody's to use.
		if n, err := strconv.ParseInt(name, 10, 64); err == nil && (n < 0 || n >= math.MaxUint32) {
			return "", fmt.Sprintf("%q is the number of no user or group: they go from 0 to %d", name, uint32(math.MaxUint32-1))
		}
	}
	s.user, s.group = user, group
	return v, ""
}

func setArg(s *settings, v string) (string, string) {
	if strings.Contains(v, "\x00") {
		return "", "has a zero byte"
	}
	s.args = append(s.args, v)
	return v, ""
}
