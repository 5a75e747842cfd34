package main

import (
	"testing"
	"time"

	"relayd/cmd/relayd/internal/config"
)

func TestLogFlags(t *testing.T) {
	f, err := parse(t, nil)
	if err != nil || config.Count(f.logOf.rate).OrOff() != 1000 || f.logOf.every != 0 || f.drainSpread != 0 {
		t.Errorf("the defaults are %+v, %v, %v", f.logOf, f.drainSpread, err)
	}
	f, err = parse(t, map[string]string{"RELAYD_LOG_RATE": "50"}, "--log-every", "5m", "--drain-spread", "20s")
	if err != nil || config.Count(f.logOf.rate).OrOff() != 50 || time.Duration(f.logOf.every) != 5*time.Minute || time.Duration(f.drainSpread) != 20*time.Second {
		t.Errorf("%+v, %v, %v", f.logOf, f.drainSpread, err)
	}
	for _, none := range []string{"0", "off"} {
		f, err = parse(t, nil, "--log-rate", none)
		if err != nil || config.Count(f.logOf.rate).OrOff() != -1 || f.logOf.rate.String() != "off" {
			t.Errorf("--log-rate %s: %v, %v", none, config.Count(f.logOf.rate).OrOff(), err)
		}
	}
	for _, bad := range []string{"-1", "many", "", "1.5", "1000000001"} {
		if f, err = parse(t, nil, "--log-rate", bad); err == nil {
			t.Errorf("--log-rate %q is %d", bad, config.Count(f.logOf.rate).OrOff())
		}
	}
}
