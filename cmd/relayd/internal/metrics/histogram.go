package metrics

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"relayd/relay"
)

// histogramSchema is that of a relay.Histogram: four buckets for each power of
// two.
const (
	histogramSchema = 2
	perPower        = 1 << histogramSchema
)

// powers are the bounds of a histogram's classic buckets: every so many powers
// of two seconds, from one to another. So each classic bucket is made of whole
// native ones.
type powers struct{ from, to, step int }

// A histogram is classic and native at once. The text formats show the one, and
// the protobuf format both.
type histogram struct {
	prometheus.Metric // the native one
	classic           []*dto.Bucket
}

// newHistogram returns h as it is shown, with classic buckets at p.
func newHistogram(d *prometheus.Desc, h relay.Histogram, p powers, created time.Time) prometheus.Metric {
	native := make(map[int]int64, len(h.Buckets))
	for k, n := range h.Buckets {
		native[k] = int64(n)
	}
	m, err := prometheus.NewConstNativeHistogram(d, h.Count, h.Sum.Seconds(), native, nil, 0,
		histogramSchema, prometheus.DefNativeHistogramZeroThreshold, created)
	if err != nil {
		return prometheus.NewInvalidMetric(d, err)
	}
	return &histogram{m, classic(h, p)}
}

// classic returns the classic buckets: each counts what is in all up to it.
func classic(h relay.Histogram, p powers) []*dto.Bucket {
	var list []*dto.Bucket
	for power := p.from; power <= p.to; power += p.step {
		bound, count := math.Ldexp(1, power), uint64(0)
		for k, n := range h.Buckets {
			if k <= power*perPower {
				count += n
			}
		}
		list = append(list, &dto.Bucket{UpperBound: &bound, CumulativeCount: &count})
	}
	return list
}

// Write writes both.
func (h *histogram) Write(to *dto.Metric) error {
	if err := h.Metric.Write(to); err != nil {
		return err
	}
	to.Histogram.Bucket = h.classic
	return nil
}
