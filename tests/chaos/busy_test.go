package chaos

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// A stillness knows how long the threads of this process had to wait for a processor.
// On a machine that is busy with something else one may stand still for seconds
// in the middle of anything: what it was about to do is late then, and not lost.
type stillness struct{ before map[string]time.Duration }

// most returns how long any thread has waited in all since the last call, or in its
// life if it is new. Where the system does not tell it is 0.
func (s *stillness) most() (most time.Duration) {
	now := make(map[string]time.Duration)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil { // without descriptors: the next time
		return 0
	}
	for _, task := range tasks {
		text, err := os.ReadFile("/proc/self/task/" + task.Name() + "/schedstat")
		if err != nil {
			continue
		}
		f := strings.Fields(string(text)) // nanoseconds on a processor, and waiting for one
		if len(f) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(f[1], 10, 64)
		now[task.Name()] = time.Duration(n)
		most = max(most, now[task.Name()]-s.before[task.Name()])
	}
	s.before = now
	return most
}
