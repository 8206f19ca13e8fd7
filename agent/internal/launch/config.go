package launch

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/picket-dev/picket/agent/internal/host"
)

// Mode says who starts the holder.
type Mode string

// The modes.
const (
	// Auto is Systemd where the host has it, else Child.
	Auto Mode = "Auto"
	// Systemd starts the holder as a service, which outlives the agent's pod.
	Systemd Mode = "Systemd"
	// Child starts it as a child of the agent. It ends with the pod, so its
	// death pings the device once more, and a nowayout device is refused.
	Child Mode = "Child"
	// External leaves the holder to somebody else: nothing is launched, and the
	// holder is believed when it says that the service manager keeps its device.
	External Mode = "External"
)

// Config says how the holder is started.
type Config struct {
	// Launch says by whom.
	Launch Mode `json:"launch"`
	// Socket is the holder's. Empty: holder.sock in the run directory. With
	// another launch than External it must lie there.
	Socket string `json:"socket,omitempty"`
	// Binary is picket-holder in the agent's own image.
	Binary string `json:"binary"`
	// Sysrq is the file by which the holder resets the host, as the host names
	// it: /proc/sysrq-trigger. It has no default, so that neither a test nor a
	// typing error reaches the real one.
	Sysrq string `json:"sysrq,omitempty"`
}

// Default returns the Config of a pod. Sysrq remains to be set.
func Default() Config { return Config{Launch: Auto, Binary: "/usr/local/bin/picket-holder"} }

// Validate returns an error that names every key which is wrong, and what to
// write there.
func (c Config) Validate() error {
	var errs []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	require(slices.Contains([]Mode{Auto, Systemd, Child, External}, c.Launch),
		"holder.launch is %q: write Auto, Systemd, Child or External", c.Launch)
	require(c.Socket == "" || filepath.IsAbs(c.Socket), "holder.socket must be an absolute path, it is %q", c.Socket)
	if c.Launch != External {
		require(c.Socket == "", "holder.socket is only for launch: External; without it, it lies in the run directory")
		require(filepath.IsAbs(c.Binary), "holder.binary must be an absolute path, it is %q", c.Binary)
		require(filepath.IsAbs(c.Sysrq), "holder.sysrq is %q: write the file that resets the host, on a real node /proc/sysrq-trigger", c.Sysrq)
	}
	return errors.Join(errs...)
}

// SocketBelow returns the holder's socket as this process sees it.
func (c Config) SocketBelow(h host.Config) string {
	if c.Socket != "" {
		return c.Socket
	}
	return filepath.Join(h.Root, h.Run, socketName)
}

// Others returns the names of the files in the run directory that are not the
// agent's: those of a holder that somebody else starts.
func (c Config) Others() []string {
	if c.Launch != External {
		return nil
	}
	return []string{socketName, configName, markerName}
}

// The names of the holder's files.
const (
	socketName = "holder.sock"
	configName = "holder.json"
	markerName = "marker"
	binaryName = "picket-holder"
)
