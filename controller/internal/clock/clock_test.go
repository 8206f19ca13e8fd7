package clock

import "testing"

func TestNowNeverGoesBack(t *testing.T) {
	before := Now()
	for range 1000 {
		now := Now()
		if now.Raw < before.Raw || now.Boot < before.Boot {
			t.Fatalf("clock went back from %v to %v", before, now)
		}
		before = now
	}
}
