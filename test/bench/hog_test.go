package bench

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/test/cluster/proc"
)

// hogEnv makes this test binary a hog: KIND DURATION DIRECTORY.
const hogEnv = "PICKET_BENCH_HOG"

// press keeps all processors, a part of the memory and the disk busy for at
// most d, or until the benchmark ends. Hogs are nice, as pods are to what
// matters on a node.
func press(b *testing.B, d time.Duration) {
	b.Helper()
	kinds := []string{"memory", "disk"}
	for range runtime.NumCPU() {
		kinds = append(kinds, "cpu")
	}
	dir := b.TempDir()
	for _, kind := range kinds {
		p, err := proc.Start(proc.Command{
			Name: "hog-" + kind, Argv: []string{os.Args[0]},
			Env: []string{hogEnv + "=" + kind + " " + d.String() + " " + dir},
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(p.KillGroup)
	}
}

// hog wastes one resource for a while.
func hog() {
	runtime.GOMAXPROCS(1)
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 10)
	fields := strings.Fields(os.Getenv(hogEnv))
	d, err := time.ParseDuration(fields[1])
	if err != nil {
		return
	}
	memory := make([]byte, 256<<20)
	end := time.Now().Add(d)
	for turn := 0; time.Now().Before(end); turn++ {
		switch fields[0] {
		case "cpu":
			for i := range 1 << 20 {
				memory[i%4096] += byte(i)
			}
		case "memory":
			for i := 0; i < len(memory); i += 4096 {
				memory[i] = byte(turn)
			}
			_ = unix.Madvise(memory, unix.MADV_DONTNEED)
		case "disk":
			fill(filepath.Join(fields[2], "hog"), memory[:16<<20])
		}
	}
}

// fill writes a file and waits until it is on the disk.
func fill(path string, content []byte) {
	f, err := os.Create(path)
	if err != nil {
		return
	}
	_, _ = f.Write(content)
	_ = f.Sync()
	_ = f.Close()
}
