package transform_test

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"relayd/transform"
)

// A stream that is cut while it waits gives back what it waits for, and no more, also
// when another one has given something back meanwhile.
func TestLimitGivesBackOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustParse(t, "limit:1000/s,burst=1000,scope=route")
		read := func(n int) time.Duration {
			return took(func() {
				if _, err := io.ReadFull(s.Open(strings.NewReader(strings.Repeat("x", n))), make([]byte, n)); err != nil {
					t.Error(err)
				}
			})
		}
		read(500)
		ends := s.Open(&allReady{})
		if !ends.(transform.Readier).Ready() { // takes the other 500
			t.Fatal("the end is not ready")
		}
		site := new(transform.Site)
		waits, closeChain := transform.Chain{s}.OpenAt(strings.NewReader(strings.Repeat("x", 100)), site)
		over := make(chan struct{})
		go func() {
			defer close(over)
			waits.Read(make([]byte, 100))
		}()
		synctest.Wait()
		ends.Close()
		site.Cut()
		<-over
		closeChain()
		within(t, "what is left, and 100 more", read(600), 100*time.Millisecond)
	})
}
