package stage

import (
	"testing"

	"go.uber.org/goleak"
)

// A closed stage leaves nothing running but the thread that starts children.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/picket-dev/picket/test/cluster/proc.init.func2.1"))
}
