package hold

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A Duration is a time.Duration that JSON writes as text, such as "1.5s".
type Duration time.Duration

// MarshalText returns the text.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText parses it.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// Config is the configuration of picket-holder, a JSON file. The paths by
// which it can reset the host have no default, so that no test and no typing
// error reaches the real ones.
type Config struct {
	// Device is the watchdog, usually /dev/watchdog. Several devices: bind
	// the wanted one there, or name it.
	Device string `json:"device"`
	// Sysrq is the file whose "b" resets the host, usually
	// /proc/sysrq-trigger. A pod needs to be privileged to write it.
	Sysrq string `json:"sysrq"`
	// Marker is the file that the next holder of this boot reads, in the
	// host's /run: it must vanish with the boot. Its directory must exist; a
	// lock lies beside it.
	Marker string `json:"marker"`
	// Socket is where the agent connects; at most 107 bytes.
	Socket string `json:"socket"`

	// PetDelay is δ: a ping that ends later than this after its check, and
	// after petUntil, resets the host. It is a term of the fence's wait, so
	// shorter means faster; it must cover the slowest ping of a healthy driver
	// and be less than κT.
	PetDelay Duration `json:"petDelay"`
	// Outlives promises that the holder outlives the agent and its pod: it is
	// a service of its own, with its device in systemd's FD store. Only then
	// may the device be nowayout.
	Outlives bool `json:"outlives"`
	// Strict refuses to start where the kernel does not grant locked memory,
	// real-time scheduling and exemption from the OOM killer. Without it the
	// holder runs with what it gets, and Status tells.
	Strict bool `json:"strict"`

	// BootID is the file with the ID of this boot.
	BootID string `json:"bootID"`
	// ProcRoot is where the host's processes are looked up, to say which of
	// them keeps the device.
	ProcRoot string `json:"procRoot"`
	// SysRoot is where sysfs is mounted.
	SysRoot string `json:"sysRoot"`
}

// Default returns the Config with all that can have a default.
func Default() Config {
	return Config{
		PetDelay: Duration(time.Second),
		BootID:   "/proc/sys/kernel/random/boot_id",
		ProcRoot: "/proc",
		SysRoot:  "/sys",
	}
}

// maxSocket is the longest path of a unix socket.
const maxSocket = 107

// Validate returns an error that names every key which is wrong, and what to
// write there.
func (c Config) Validate() error {
	var errs []error
	for _, p := range []struct{ key, path, hint string }{
		{"device", c.Device, "/dev/watchdog"},
		{"sysrq", c.Sysrq, "/proc/sysrq-trigger"},
		{"marker", c.Marker, "/run/picket/marker"},
		{"socket", c.Socket, "/run/picket/holder.sock"},
		{"bootID", c.BootID, Default().BootID},
		{"procRoot", c.ProcRoot, Default().ProcRoot},
		{"sysRoot", c.SysRoot, Default().SysRoot},
	} {
		switch {
		case p.path == "":
			errs = append(errs, fmt.Errorf("%s is empty: write a path, on a real node %s", p.key, p.hint))
		case !filepath.IsAbs(p.path):
			errs = append(errs, fmt.Errorf("%s %q is not absolute: write a path like %s", p.key, p.path, p.hint))
		}
	}
	if len(c.Socket) > maxSocket {
		errs = append(errs, fmt.Errorf("socket has %d bytes and a unix socket at most %d: choose a shorter path", len(c.Socket), maxSocket))
	}
	if d := time.Duration(c.PetDelay); d <= 0 || d > time.Minute {
		errs = append(errs, fmt.Errorf("petDelay %v is not in (0, 1m]: write the time that the slowest ping may take, such as \"1s\"", d))
	}
	return errors.Join(errs...)
}

// Decode parses the JSON text of a configuration into c, which holds the
// defaults and embeds or is a Config. A key that it does not know is an error.
func Decode(text []byte, c any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return fmt.Errorf("parse configuration: %w", err)
	}
	if d.More() {
		return errors.New("parse configuration: text after the closing brace")
	}
	return nil
}

// Boot returns the ID of this boot, from the file that c names.
func (c Config) Boot() (string, error) {
	text, err := os.ReadFile(c.BootID)
	if err != nil {
		return "", fmt.Errorf("read boot ID: %w", err)
	}
	id := string(bytes.TrimSpace(text))
	if id == "" || len(id) > bootText {
		return "", fmt.Errorf("boot ID %q in %s has not 1 to %d bytes", id, c.BootID, bootText)
	}
	return id, nil
}
