package watchdog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Answer is yes, no, or the zero value: nobody knows.
type Answer uint8

const (
	// Unknown is the Answer of a kernel that does not tell.
	Unknown Answer = iota
	// No is what it says.
	No
	// Yes is, too.
	Yes
)

// String returns the word that the CLI shows.
func (a Answer) String() string {
	switch a {
	case No:
		return "no"
	case Yes:
		return "yes"
	case Unknown:
	}
	return "unknown"
}

// Info is what sysfs or the device itself says about one watchdog, before any
// judgement. Zero values mean that nothing is known.
type Info struct {
	// Name is the kernel's name, such as watchdog0.
	Name string
	// Identity is the driver's name for the device.
	Identity string
	// Options are the WDIOF flags. HasOptions tells whether they are known.
	Options    uint32
	HasOptions bool
	// Timeout is the nominal timeout in force; Min and Max bound it.
	Timeout, Min, Max time.Duration
	// Active says whether the dog runs at this moment.
	Active Answer
	// Nowayout says whether it refuses to be stopped.
	Nowayout Answer
	// SoftNoboot says whether a softdog was told to reset nothing.
	SoftNoboot Answer
}

// legacy is the character device /dev/watchdog, which is watchdog0.
const legacy = 10<<8 | 130

// Find returns what sysfs under sysRoot (usually /sys) says about the device
// with that device number. A device which is not in the kernel's watchdog core
// (ipmi_watchdog), or a kernel without watchdog sysfs, gives an Info in which
// little or nothing is known, and no error.
func Find(sysRoot string, rdev uint64) (Info, error) {
	class := filepath.Join(sysRoot, "class", "watchdog")
	entries, err := os.ReadDir(class)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Info{}, fmt.Errorf("list watchdogs: %w", err)
	}
	for _, e := range entries {
		if rdev == legacy && e.Name() == "watchdog0" || number(class, e.Name()) == rdev {
			return Read(sysRoot, e.Name())
		}
	}
	if rdev == legacy {
		return outside(sysRoot)
	}
	return Info{}, nil
}

// ipmiModule is the one driver that makes a watchdog outside the kernel's
// watchdog core. Its device is /dev/watchdog, and sysfs knows only the module.
const ipmiModule = "ipmi_watchdog"

// outside returns what can be known of a /dev/watchdog that is not in the
// kernel's watchdog core.
func outside(sysRoot string) (Info, error) {
	if !exists(sysRoot, "module", ipmiModule) {
		return Info{}, nil
	}
	i := Info{Identity: "IPMI"}
	return i, i.ReadModule(sysRoot)
}

// Numbers returns the device numbers under which the device with that number
// can be opened: watchdog0 has two.
func Numbers(sysRoot string, rdev uint64) []uint64 {
	zero := number(filepath.Join(sysRoot, "class", "watchdog"), "watchdog0")
	switch {
	case zero == 0 || zero == legacy:
	case rdev == legacy:
		return []uint64{rdev, zero}
	case rdev == zero:
		return []uint64{rdev, legacy}
	}
	return []uint64{rdev}
}

func number(class, name string) uint64 {
	text, err := os.ReadFile(filepath.Join(class, name, "dev"))
	if err != nil {
		return 0
	}
	n, err := parseNumber(string(text))
	if err != nil {
		return 0
	}
	return n
}

// Read returns what sysfs under sysRoot says about the watchdog of that name.
// Attributes that are missing stay unknown; one that cannot be parsed is an
// error, because a guess about a watchdog is worse than none.
func Read(sysRoot, name string) (Info, error) {
	i := Info{Name: name}
	dir := filepath.Join(sysRoot, "class", "watchdog", name)
	for attr, parse := range map[string]func(string) error{
		"identity":    func(s string) error { i.Identity = s; return nil },
		"options":     func(s string) error { i.HasOptions = true; return parseHex(s, &i.Options) },
		"timeout":     func(s string) error { return parseSeconds(s, &i.Timeout) },
		"min_timeout": func(s string) error { return parseSeconds(s, &i.Min) },
		"max_timeout": func(s string) error { return parseSeconds(s, &i.Max) },
		"nowayout":    func(s string) error { return parseAnswer(s, &i.Nowayout) },
		"state": func(s string) error {
			return parseWord(s, map[string]Answer{"active": Yes, "inactive": No}, &i.Active)
		},
	} {
		if err := attribute(filepath.Join(dir, attr), parse); err != nil {
			return Info{}, err
		}
	}
	return i, i.ReadModule(sysRoot)
}

// ReadModule completes i by the parameters of its driver's module, which tell
// more than the device: nowayout of drivers outside the watchdog core, and a
// softdog's soft_noboot where the kernel shows it.
func (i *Info) ReadModule(sysRoot string) error {
	d := Lookup(i.Identity)
	dir := filepath.Join(sysRoot, "module", d.Name, "parameters")
	if i.Nowayout == Unknown {
		if err := attribute(filepath.Join(dir, "nowayout"), func(s string) error {
			return parseAnswer(s, &i.Nowayout)
		}); err != nil {
			return err
		}
	}
	if d.Kind != KindSoftdog {
		return nil
	}
	return attribute(filepath.Join(dir, "soft_noboot"), func(s string) error {
		return parseAnswer(s, &i.SoftNoboot)
	})
}

// attribute hands the trimmed text of a file to parse. A file that is missing
// or secret is no error.
func attribute(path string, parse func(string) error) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read watchdog attribute: %w", err)
	}
	if err := parse(strings.TrimSpace(string(text))); err != nil {
		return fmt.Errorf("parse %s: %w", path, err)
	}
	return nil
}

func parseNumber(s string) (uint64, error) {
	major, minor, ok := strings.Cut(strings.TrimSpace(s), ":")
	if !ok {
		return 0, fmt.Errorf("device number %q has no colon", s)
	}
	ma, err := strconv.ParseUint(major, 10, 32)
	if err != nil {
		return 0, err
	}
	mi, err := strconv.ParseUint(minor, 10, 32)
	if err != nil {
		return 0, err
	}
	return unix.Mkdev(uint32(ma), uint32(mi)), nil
}

func parseHex(s string, to *uint32) error {
	v, err := strconv.ParseUint(strings.TrimPrefix(s, "0x"), 16, 32)
	*to = uint32(v)
	return err
}

func parseSeconds(s string, to *time.Duration) error {
	v, err := strconv.ParseUint(s, 10, 32)
	*to = time.Duration(v) * time.Second
	return err
}

func parseAnswer(s string, to *Answer) error {
	return parseWord(s, map[string]Answer{"0": No, "N": No, "1": Yes, "Y": Yes}, to)
}

func parseWord(s string, words map[string]Answer, to *Answer) error {
	a, ok := words[s]
	if !ok {
		return fmt.Errorf("unexpected text %q", s)
	}
	*to = a
	return nil
}
