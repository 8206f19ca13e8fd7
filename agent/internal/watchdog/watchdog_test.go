package watchdog

import (
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const sec = time.Second

func TestLookup(t *testing.T) {
	for identity, want := range map[string]struct {
		name  string
		kind  Kind
		kappa int
		min   time.Duration
	}{
		"Software Watchdog": {"softdog", KindSoftdog, 1020, sec},
		"i6300ESB timer":    {"i6300esb", KindHardware, 1020, sec},
		"iTCO_wdt":          {"iTCO_wdt", KindHardware, 2000, 3 * sec},
		"z Watchdog":        {"diag288_wdt", KindHardware, 1020, 15 * sec},
		"IPMI":              {"ipmi_watchdog", KindHardware, UnknownKappa, 0},
		"Something New":     {"unknown", KindHardware, UnknownKappa, 0},
		"":                  {"unknown", KindHardware, UnknownKappa, 0},
	} {
		d := Lookup(identity)
		if d.Name != want.name || d.Kind != want.kind || d.Kappa != want.kappa || d.Min != want.min {
			t.Errorf("%q: %+v, want %+v", identity, d, want)
		}
	}
}

// tree writes files under a new directory that plays / .
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

var softdog = map[string]string{
	"class/watchdog/watchdog1/dev":         "246:1\n",
	"class/watchdog/watchdog1/identity":    "Software Watchdog\n",
	"class/watchdog/watchdog1/options":     "0x8180\n",
	"class/watchdog/watchdog1/timeout":     "60\n",
	"class/watchdog/watchdog1/min_timeout": "1\n",
	"class/watchdog/watchdog1/max_timeout": "65535\n",
	"class/watchdog/watchdog1/nowayout":    "0\n",
	"class/watchdog/watchdog1/state":       "inactive\n",
	"class/watchdog/watchdog0/dev":         "246:0\n",
	"class/watchdog/watchdog0/identity":    "iTCO_wdt\n",
	"class/watchdog/watchdog0/min_timeout": "0\n",
	"class/watchdog/watchdog0/max_timeout": "0\n",
	"class/watchdog/watchdog0/nowayout":    "1\n",
	"class/watchdog/watchdog0/state":       "active\n",
}

func TestFind(t *testing.T) {
	root := tree(t, softdog)
	zero := Info{Name: "watchdog0", Identity: "iTCO_wdt", Active: Yes, Nowayout: Yes}
	one := Info{Name: "watchdog1", Identity: "Software Watchdog", Options: 0x8180, HasOptions: true,
		Timeout: 60 * sec, Min: sec, Max: 65535 * sec, Active: No, Nowayout: No}
	for name, c := range map[string]struct {
		root string
		dev  uint64
		want Info
	}{
		"by number":         {root, unix.Mkdev(246, 1), one},
		"/dev/watchdog":     {root, unix.Mkdev(10, 130), zero},
		"not in the core":   {root, unix.Mkdev(10, 131), Info{}},
		"no watchdog sysfs": {t.TempDir(), unix.Mkdev(10, 130), Info{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Find(c.root, c.dev)
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	if diff := cmp.Diff([]uint64{unix.Mkdev(10, 130), unix.Mkdev(246, 0)}, Numbers(root, unix.Mkdev(10, 130))); diff != "" {
		t.Errorf("numbers of watchdog0 (-want +got):\n%s", diff)
	}
	want := Facts{Driver: "iTCO_wdt", Identity: "iTCO_wdt", Kind: KindHardware, Kappa: 2000, Min: 3 * sec, Max: 614 * sec, Nowayout: true}
	if diff := cmp.Diff(want, zero.Facts()); diff != "" {
		t.Errorf("the table knows what sysfs does not (-want +got):\n%s", diff)
	}
}

func TestModuleParametersComplete(t *testing.T) {
	root := tree(t, map[string]string{
		"module/ipmi_watchdog/parameters/nowayout": "N\n",
		"module/softdog/parameters/soft_noboot":    "1\n",
	})
	ipmi := Info{Identity: "IPMI"}
	soft := Info{Identity: "Software Watchdog", Nowayout: No}
	for _, i := range []*Info{&ipmi, &soft} {
		if err := i.ReadModule(root); err != nil {
			t.Fatal(err)
		}
	}
	if ipmi.Nowayout != No || soft.SoftNoboot != Yes {
		t.Errorf("nowayout of ipmi %v, soft_noboot %v", ipmi.Nowayout, soft.SoftNoboot)
	}
}

func TestGarbageInSysfsIsAnError(t *testing.T) {
	for _, attr := range []string{"options", "timeout", "min_timeout", "nowayout", "state"} {
		files := maps.Clone(softdog)
		files["class/watchdog/watchdog1/"+attr] = "garbage\n"
		if _, err := Read(tree(t, files), "watchdog1"); err == nil || !strings.Contains(err.Error(), attr) {
			t.Errorf("%s: error %v", attr, err)
		}
	}
}

func TestCheck(t *testing.T) {
	good := Info{Identity: "i6300ESB timer", Options: unix.WDIOF_MAGICCLOSE, HasOptions: true, Active: No, Nowayout: No}
	use := Use{Device: "/dev/watchdog", Timeout: 10 * sec}
	with := func(change func(*Info, *Use)) (Info, Use) {
		i, u := good, use
		change(&i, &u)
		return i, u
	}
	for name, c := range map[string]struct {
		change func(*Info, *Use)
		want   string // "" accepts
	}{
		"good":                     {func(i *Info, u *Use) {}, ""},
		"alarm only":               {func(i *Info, u *Use) { i.Options |= unix.WDIOF_ALARMONLY }, "WDIOF_ALARMONLY"},
		"no magic close":           {func(i *Info, u *Use) { i.Options = 0 }, "stops when its holder dies"},
		"no magic close, nowayout": {func(i *Info, u *Use) { i.Options, i.Nowayout, u.Outlives = 0, Yes, true }, ""},
		"ipmi":                     {func(i *Info, u *Use) { i.Identity, i.Options = "IPMI", 0 }, ""},
		"options unknown yet":      {func(i *Info, u *Use) { i.Options, i.HasOptions = 0, false }, ""},
		"active":                   {func(i *Info, u *Use) { i.Active = Yes }, "state=active"},
		"active and ours":          {func(i *Info, u *Use) { i.Active, u.Resume = Yes, true }, ""},
		"nowayout":                 {func(i *Info, u *Use) { i.Nowayout = Yes }, "outlives: true"},
		"nowayout unknown":         {func(i *Info, u *Use) { i.Nowayout = Unknown }, "outlives: true"},
		"nowayout, outlives":       {func(i *Info, u *Use) { i.Nowayout, u.Outlives = Yes, true }, ""},
		"soft_noboot":              {func(i *Info, u *Use) { i.Identity, i.SoftNoboot = "Software Watchdog", Yes }, "soft_noboot=0"},
		"too long":                 {func(i *Info, u *Use) { u.Timeout = 2047 * sec }, "takes at most"},
		"too long for sysfs":       {func(i *Info, u *Use) { i.Max = 9 * sec }, "above the 9s"},
		"too short":                {func(i *Info, u *Use) { i.Min = 11 * sec }, "below the 11s"},
		"no timeout":               {func(i *Info, u *Use) { u.Timeout = 0 }, "not positive"},
		"nothing known":            {func(i *Info, u *Use) { *i = Info{} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			i, u := with(c.change)
			err := i.Check(u)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// The process table is this process's own, and /dev/null plays the watchdog.
func TestKeepers(t *testing.T) {
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	self := strconv.Itoa(os.Getpid())
	root := t.TempDir()
	if err := os.Symlink(filepath.Join("/proc", self), filepath.Join(root, self)); err != nil {
		t.Fatal(err)
	}
	found := Keepers(root, []uint64{unix.Mkdev(1, 3)})
	if len(found) != 1 || found[0].PID != os.Getpid() || found[0].Name == "unknown" {
		t.Errorf("found %v, want this process", found)
	}
	if found := Keepers(root, []uint64{unix.Mkdev(10, 130)}); len(found) != 0 {
		t.Errorf("found %v for a device that nobody has open", found)
	}
}

func TestBusyNamesTheKeeperAndTheRemedies(t *testing.T) {
	for name, c := range map[string]struct {
		keepers []Keeper
		want    []string
	}{
		"systemd": {[]Keeper{{1, "systemd"}}, []string{"systemd (pid 1)", "RuntimeWatchdogSec=0", "modprobe softdog"}},
		"daemon":  {[]Keeper{{412, "watchdog"}}, []string{"watchdog (pid 412)", "systemctl disable"}},
		"hidden":  {nil, []string{"cannot see", "fuser", "RuntimeWatchdogSec=0", "modprobe softdog"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := Busy("/dev/watchdog", c.keepers)
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not contain %q", err, want)
				}
			}
			if n := len(err.Error()); n > 590 {
				t.Errorf("%d bytes do not fit into a reply", n)
			}
		})
	}
}

func FuzzAttributes(f *testing.F) {
	for _, text := range []string{"0x8180", "60", "1", "active", "246:1", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var options uint32
		var d time.Duration
		var a Answer
		_ = parseHex(text, &options)
		if parseSeconds(text, &d) == nil && d < 0 {
			t.Errorf("%q is %v", text, d)
		}
		if parseAnswer(text, &a) == nil && a == Unknown {
			t.Errorf("%q is no answer", text)
		}
		_, _ = parseNumber(text)
	})
}
