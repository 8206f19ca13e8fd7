package daemon

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestShrinkGivesCodeBack(t *testing.T) {
	before := fileMemory(t)
	if err := shrink(); err != nil {
		t.Fatal(err)
	}
	after := fileMemory(t)
	t.Logf("%d KiB of files were mapped, now %d", before, after)
	if after > before/2 { // code is less than half of it
		t.Error("code or constants were not given back")
	}
}

// fileMemory is how much of this process is pages of files, in KiB.
func fileMemory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "RssFile:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib
}
