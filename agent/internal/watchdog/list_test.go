package watchdog

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/proto/timing"
)

// machine makes the roots of a machine. Its device nodes are links to character
// devices that everybody has and that do nothing.
func machine(t *testing.T, sys map[string]string, nodes map[string]string) Roots {
	t.Helper()
	r := Roots{Sys: tree(t, sys), Dev: t.TempDir(), Proc: t.TempDir()}
	for name, target := range nodes {
		if err := os.Symlink(target, filepath.Join(r.Dev, name)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func TestList(t *testing.T) {
	sys := maps.Clone(softdog)
	sys["class/watchdog/watchdog1/dev"] = "1:3\n" // /dev/null
	sys["class/watchdog/watchdog10/dev"] = "1:5\n"
	sys["class/watchdog/watchdog10/state"] = "sleeping\n"
	sys["class/watchdog/watchdog2/identity"] = "i6300ESB timer\n"
	sys["class/watchdog/README"] = "no device\n"
	r := machine(t, sys, map[string]string{"watchdog1": "/dev/null", "watchdog10": "/dev/full", "watchdog0": "/dev/zero"})
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	self := strconv.Itoa(os.Getpid())
	if err := os.Symlink(filepath.Join("/proc", self), filepath.Join(r.Proc, self)); err != nil {
		t.Fatal(err)
	}
	got, err := List(r)
	if err != nil {
		t.Fatal(err)
	}
	var short []string
	for _, c := range got {
		short = append(short, fmt.Sprintf("%s node=%q keepers=%d trouble=%t", c.Name, c.Path, len(c.Keepers), c.Trouble != ""))
	}
	want := []string{
		`watchdog0 node="" keepers=0 trouble=false`, // the node has another number
		`watchdog1 node="/dev/watchdog1" keepers=1 trouble=false`,
		`watchdog2 node="" keepers=0 trouble=false`,
		`watchdog10 node="" keepers=0 trouble=true`,
	}
	if diff := cmp.Diff(want, short); diff != "" {
		t.Errorf("devices (-want +got):\n%s", diff)
	}
}

func TestListWithoutSysfs(t *testing.T) {
	got, err := List(Roots{Sys: t.TempDir(), Dev: t.TempDir(), Proc: t.TempDir()})
	if err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := List(Roots{Sys: tree(t, map[string]string{"class/watchdog": "a file"})}); err == nil {
		t.Error("a class that is no directory was read")
	}
}

// No test makes a node of the real /dev/watchdog, not even in a directory of
// its own: what List would find is put together here.
func TestIPMIOutsideTheCore(t *testing.T) {
	ipmi := map[string]string{"module/ipmi_watchdog/parameters/nowayout": "N\n"}
	want := Info{Identity: "IPMI", Nowayout: No}
	got, err := Find(tree(t, ipmi), legacy)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	c := machine(t, ipmi, nil).candidate(outsiderName, legacy)
	if c.Name != "watchdog" || c.Facts().Driver != "ipmi_watchdog" {
		t.Errorf("%+v", c)
	}
	c.Path = "/dev/watchdog"
	choice, _ := Choose([]Candidate{c}, Preference{Profile: timing.Standard()})
	if choice.Path != "/dev/watchdog" || c.Facts().Kappa != UnknownKappa {
		t.Errorf("%+v", choice)
	}

	hardware := map[string]string{"class/watchdog/watchdog0/dev": "246:0\n", "class/watchdog/watchdog0/device/vendor": ""}
	both := maps.Clone(ipmi)
	maps.Copy(both, hardware)
	behind := maps.Clone(both)
	behind["class/misc/watchdog/device/vendor"] = ""
	for name, tt := range map[string]struct {
		sys  map[string]string
		node uint64
		want bool
	}{
		"alone":                    {ipmi, legacy, true},
		"a driver nobody knows":    {nil, legacy, true},
		"watchdog0's other name":   {hardware, legacy, false},
		"ipmi came first":          {both, legacy, true},
		"ipmi came second":         {behind, legacy, false},
		"a node of another number": {ipmi, unix.Mkdev(1, 3), false},
	} {
		if got := machine(t, tt.sys, nil).outsider(tt.node); got != tt.want {
			t.Errorf("%s: %t, want %t", name, got, tt.want)
		}
	}
}

func FuzzList(f *testing.F) {
	f.Add("Software Watchdog", "0x8180", "1", "65535", "0", "inactive", "1:3")
	f.Add("iTCO_wdt", "0x8180", "0", "0", "1", "active", "1:3")
	f.Add("", "zz", "-1", "4294967296", "Y", "", ":")
	f.Fuzz(func(t *testing.T, identity, options, least, most, nowayout, state, dev string) {
		dir := "class/watchdog/watchdog1/"
		sys := map[string]string{dir + "identity": identity, dir + "options": options, dir + "min_timeout": least,
			dir + "max_timeout": most, dir + "nowayout": nowayout, dir + "state": state, dir + "dev": dev}
		r := machine(t, sys, map[string]string{"watchdog1": "/dev/null"})
		all, err := List(r)
		if err != nil || len(all) != 1 {
			t.Fatalf("%+v, %v", all, err)
		}
		choice, verdicts := Choose(all, Preference{Outlives: true, Profile: timing.Standard()})
		c := verdicts[0].Candidate
		bad := c.Trouble != "" || c.Number != unix.Mkdev(1, 3) || !slices.Contains([]Answer{Unknown, No}, c.Active)
		if choice.Name != "" && (bad || choice.Timeout <= 0 || c.Facts().CheckTimeout(choice.Timeout) != nil) {
			t.Errorf("%+v was chosen of %+v", choice, c)
		}
	})
}
