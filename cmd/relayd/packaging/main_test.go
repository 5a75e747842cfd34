package packaging

import (
	"testing"

	"relayd/tests/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
