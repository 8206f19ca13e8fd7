//go:build !testdevice

package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/watchdog"
)

// openerFor returns an opener of a device that is none, with a sysfs in which
// /dev/null is watchdog7.
func openerFor(t *testing.T, device string, attributes map[string]string) *kernelOpener {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "sys/class/watchdog/watchdog7")
	proc := filepath.Join(root, "proc")
	for _, d := range []string{dir, proc} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self := strconv.Itoa(os.Getpid())
	if err := os.Symlink("/proc/"+self, filepath.Join(proc, self)); err != nil {
		t.Fatal(err)
	}
	for name, text := range attributes {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	log := newJournal(slog.DiscardHandler)
	t.Cleanup(log.flush)
	cfg := hold.Default()
	cfg.Device, cfg.SysRoot, cfg.ProcRoot = device, filepath.Join(root, "sys"), proc
	return &kernelOpener{cfg: cfg, adopted: -1, log: log}
}

func TestKernelOpenerRefuses(t *testing.T) {
	null, err := os.Open("/dev/null") // this process keeps the "watchdog"
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	good := func(change ...string) map[string]string {
		a := map[string]string{"dev": "1:3", "identity": "i6300ESB timer", "options": "0x8180", "nowayout": "0", "state": "inactive"}
		for i := 0; i < len(change); i += 2 {
			a[change[i]] = change[i+1]
		}
		return a
	}
	for name, c := range map[string]struct {
		device     string
		attributes map[string]string
		want       []string
	}{
		"missing":    {"/dev/no-such-watchdog", nil, []string{"modprobe softdog"}},
		"no device":  {"/proc/self/exe", nil, []string{"no character device"}},
		"kept":       {"/dev/null", good("state", "active"), []string{"state=active", "pid " + strconv.Itoa(os.Getpid())}},
		"nowayout":   {"/dev/null", good("nowayout", "1"), []string{"outlives: true"}},
		"alarm only": {"/dev/null", good("options", "0x8580"), []string{"WDIOF_ALARMONLY"}},
		"too short":  {"/dev/null", good("min_timeout", "15"), []string{"takes at least"}},
		// Nothing speaks against it until it is asked.
		"no watchdog": {"/dev/null", good(), []string{"ask watchdog for its abilities"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := openerFor(t, c.device, c.attributes)
			before := descriptors(t)
			_, err := o.Open(10*time.Second, false)
			if err == nil {
				t.Fatal("opened")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not contain %q", err, want)
				}
			}
			if after := descriptors(t); after != before {
				t.Errorf("%d descriptors before, %d after", before, after)
			}
		})
	}
}

func TestKernelOpenerInspects(t *testing.T) {
	o := openerFor(t, "/dev/null", map[string]string{"dev": "1:3", "identity": "iTCO_wdt", "nowayout": "0", "state": "active"})
	facts, active, err := o.Inspect()
	if err != nil || active != watchdog.Yes || facts.Driver != "iTCO_wdt" || facts.Kappa != 2000 || facts.Min != 3*time.Second {
		t.Errorf("%+v, %v, %v", facts, active, err)
	}
	if _, active, err := openerFor(t, "/dev/no-such-watchdog", nil).Inspect(); err == nil || active != watchdog.No {
		t.Errorf("missing device: %v, %v", active, err)
	}
}

func TestOwnDescriptor(t *testing.T) {
	o := openerFor(t, "/dev/null", nil)
	n, err := o.number()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if _, ok := ownDescriptor(n); !ok {
		t.Error("an open /dev/null was not found")
	}
	if fd, ok := ownDescriptor(1); ok {
		t.Errorf("descriptor %d is of no such device", fd)
	}
}

func TestWholeSecondsRoundsUp(t *testing.T) {
	for in, want := range map[time.Duration]time.Duration{0: 0, 1: time.Second, time.Second: time.Second, 1500 * ms: 2 * time.Second} {
		if got := wholeSeconds(in); got != want {
			t.Errorf("%v becomes %v, want %v", in, got, want)
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
