package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// oneOf shows one metric with labels of anybody's, as the collector does.
type oneOf struct{ labels []string }

var oneDesc = prometheus.NewDesc("relayd_fuzz", "Of anybody's words.", []string{"a", "b"}, nil)

func (o oneOf) Describe(to chan<- *prometheus.Desc) { to <- oneDesc }

func (o oneOf) Collect(to chan<- prometheus.Metric) { gauge(to, oneDesc, 1, o.labels[0], o.labels[1]) }

// Whatever words labels have: a scrape gets one sample, on one line, which has
// them as the text format escapes them.
func FuzzLabels(f *testing.F) {
	for _, text := range []string{"", "default", `a"b\`, "a\nb", "\xff", "世", "\x00", "} 5\nrelayd_forged 1", "\u202e"} {
		f.Add(text, "unix:///x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		r := prometheus.NewPedanticRegistry()
		r.MustRegister(oneOf{[]string{a, b}})
		w := httptest.NewRecorder()
		promhttp.HandlerFor(r, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		var samples []string
		for line := range strings.Lines(w.Body.String()) {
			if !strings.HasPrefix(line, "#") {
				samples = append(samples, line)
			}
		}
		if w.Code != 200 || len(samples) != 1 {
			t.Fatalf("%q, %q: %d: %s", a, b, w.Code, w.Body)
		}
		var words []string
		rest := strings.TrimPrefix(samples[0], "relayd_fuzz{")
		for _, name := range []string{`a="`, `",b="`} {
			value, ok := strings.CutPrefix(rest, name)
			if !ok {
				t.Fatalf("the sample is %q", samples[0])
			}
			value, rest = unquoted(value)
			words = append(words, value)
		}
		for i, want := range []string{a, b} {
			if want = strings.ToValidUTF8(want, "\ufffd"); words[i] != want || rest != "\"} 1\n" {
				t.Errorf("the sample is %q: %q, want %q", samples[0], words[i], want)
			}
		}
	})
}

// unquoted reads a label's value up to its closing quote.
func unquoted(text string) (value, rest string) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return b.String(), text[i:]
		case c == '\\' && i+1 < len(text):
			i++
			if c = text[i]; c == 'n' {
				c = '\n'
			}
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}
