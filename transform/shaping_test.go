package transform_test

// How the stages that shape and harm a stream, and replace, are written.

import (
	"io"
	"strings"
	"testing"
	"time"

	"relayd/transform"
)

// anew parses the stage for each stream, so that each is the first one.
func anew(t *testing.T, text string) func(src io.Reader) io.ReadCloser {
	return func(src io.Reader) io.ReadCloser { return mustParse(t, text).Open(src) }
}

// TCP has no loss, and whoever looks for it is told so.
func TestNoDrop(t *testing.T) {
	const want = `there is no stage "drop": a TCP stream loses nothing`
	_, err := transform.ParseStage("drop:p=0.1")
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v", err)
	}
	if _, err := transform.Describe("drop"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v", err)
	}
	for _, s := range transform.Stages() {
		if _, err := transform.ParseStage(s.Name + ":"); err != nil && strings.Contains(err.Error(), "there is no stage") {
			t.Errorf("%s is said not to be there", s.Name)
		}
	}
}

func TestParseShaping(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"limit:1MiB/s", "limit:1M/s"},
		{"limit:rate=1024k", "limit:1M/s"},
		{"limit:2500/s,burst=auto,scope=conn,p=1.0,seed=random", "limit:2500/s"},
		{"limit:3GiB/s,scope=route,burst=1024", "limit:3G/s,burst=1k,scope=route"},
		{"delay:time=0.1s,jitter=20ms", "delay:100ms,jitter=20ms"},
		{"delay:1s,queue=1048576", "delay:1s"},
		{"cut:after=10GiB,p=.5", "cut:10G,p=0.5"},
		{"reset:0,seed=007", "reset:0,seed=7"},
		{"stall", "stall"},
		{"stall:0,time=forever", "stall"},
		{"corrupt:1e-3,p=-0", "corrupt:0.001,p=0"},
		{`replace:"\r\n",to="\n"`, `replace:"\r\n",to="\n"`},
		{`replace:"a=b",to=`, `replace:"a=b"`},
	} {
		s, err := transform.ParseStage(test.in)
		if err != nil {
			t.Error(err)
		} else if got := s.String(); got != test.want {
			t.Errorf("%s is written %s, want %s", test.in, got, test.want)
		}
	}
	for _, test := range []struct{ in, want string }{
		{"limit", "needs its option"},
		{"limit:0/s", "want bytes per second"},
		{"limit:2T/s", "want bytes per second"},
		{"limit:fast", "want bytes per second"},
		{"limit:", "value expected"},
		{"limit:1M,burst=0", "want bytes from 1 to 1G"},
		{"limit:1M,scope=all", "want conn, source or route"},
		{"delay:0s", "want a duration up to 1h"},
		{"delay:-1s", "want a duration up to 1h"},
		{"delay:10ms,jitter=20ms", "the jitter of 20ms is longer than the delay of 10ms"},
		{"cut:1e6", "want bytes from 0 to"},
		{"cut:99999999T", "want bytes from 0 to"},
		{"cut:-1", "want bytes from 0 to"},
		{"cut:ib", "want bytes from 0 to"},
		{"cut:k", "want bytes from 0 to"},
		{"slice:0", "want bytes from 1 to 1G"},
		{"stall:1,time=0s", "want a duration such as"},
		{"corrupt:2", "want a probability"},
		{"corrupt:NaN", "want a probability"},
		{"corrupt:0.1,seed=-1", "want a number from 0"},
		{"cut:1,p=50%", "want a probability"},
		{`replace:""`, "needs its option"},
		{"replace:to=x", "needs its option"},
		{"replace:" + strings.Repeat("x", 65<<10), "want 65536 bytes at most"},
	} {
		if s, err := transform.ParseStage(test.in); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.50s: got %v, %v, want an error with %q", test.in, s, err, test.want)
		}
	}
}

// A slow source gives n bytes after each d.
type slow struct {
	n    int
	d    time.Duration
	left int
}

func (s *slow) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	<-time.After(s.d)
	n := min(s.n, s.left, len(p))
	s.left -= n
	return n, nil
}
