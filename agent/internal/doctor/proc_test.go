package doctor

import (
	"fmt"
	"strings"
	"testing"
)

// FuzzSchedule makes stat files as the kernel does, of any name: a thread that calls
// itself what follows a name must not speak for its schedule.
func FuzzSchedule(f *testing.F) {
	f.Add("picket-holder", stat(1, 2))
	f.Add("a) R "+strings.Repeat("9 ", 50)+"(", stat(0, 0))
	f.Add("x\ny", "700 (x) S 1")
	f.Add("", "no thread at all")
	f.Fuzz(func(t *testing.T, name, text string) {
		policy, priority, err := parseSchedule(text)
		end := strings.LastIndexByte(text, ')')
		if end < 0 {
			return
		}
		named, at, err2 := parseSchedule("1 (" + name + text[end:])
		if err == nil && (named != policy || at != priority) || (err == nil) != (err2 == nil) {
			t.Errorf("%q as %q: policy %d, priority %d, %v", text, name, named, at, err2)
		}
	})
}

// FuzzStatus: what a process has locked is what the kernel wrote, and never less than
// nothing, whatever stands around it.
func FuzzStatus(f *testing.F) {
	f.Add("Name:\tpicket-holder\nVmLck:\t    8192 kB\n", uint32(8192))
	f.Add("VmLck:\t9223372036854775807 kB\n", uint32(0))
	f.Add("VmLck:\t-4 kB\nVmLck:\t4 kB\n", uint32(1))
	f.Add("Name:\tVmLck: 7 kB\n", uint32(1<<31))
	f.Fuzz(func(t *testing.T, text string, kib uint32) {
		locked, err := parseLocked(text)
		if locked < 0 || err != nil && locked != 0 {
			t.Errorf("%q: %d bytes, %v", text, locked, err)
		}
		if strings.Contains("\n"+text, "\nVmLck:") {
			return
		}
		if locked, err = parseLocked(fmt.Sprintf("%s\nVmLck:\t%8d kB\nVmPin:\t0 kB\n", text, kib)); err != nil || locked != int64(kib)<<10 {
			t.Errorf("behind %q: %d bytes of %d KiB, %v", text, locked, kib, err)
		}
	})
}

// FuzzNumber: a file of one number is that number, or an error.
func FuzzNumber(f *testing.F) {
	for _, text := range []string{"-1000\n", "0", "a few\n", "", "1 2\n", "99999999999999999999\n", "0x10\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseNumber(text)
		if err != nil {
			return
		}
		if again, err := parseNumber(fmt.Sprintf(" %d\n", n)); err != nil || again != n {
			t.Errorf("%q: %d, and then %d, %v", text, n, again, err)
		}
	})
}
