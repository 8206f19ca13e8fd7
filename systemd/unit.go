package systemd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	sd "github.com/coreos/go-systemd/v22/dbus"
)

// jobDone is how a job ends that did what it was for.
const jobDone = "done"

// Exit statuses by which systemd says that it could not run a service.
const (
	exitExec      = 203
	exitScheduler = 214
)

// A State is what the manager knows of a service. The zero State is one that is
// not there.
type State struct {
	// Active is inactive, activating, active, deactivating or failed; Sub says
	// it more precisely, such as auto-restart.
	Active, Sub string
	// PID is that of the main process, or 0.
	PID int
	// Status is how the main process ended last.
	Status int
	// Stored is how many descriptors the manager keeps for the service.
	Stored int
}

// Running reports whether the service is there, or will be in a moment.
func (s State) Running() bool {
	return s.Active != "" && s.Active != "inactive" && s.Active != "failed"
}

// Inspect returns the state of a service.
func (m *Manager) Inspect(ctx context.Context, name string) (State, error) {
	units, err := m.units()
	if err != nil {
		return State{}, fmt.Errorf("inspect %s: %w", name, err)
	}
	// Of all its interfaces at once.
	unit, err := units.GetAllPropertiesContext(ctx, name)
	if err != nil {
		return State{}, fmt.Errorf("inspect %s: %w", name, err)
	}
	if unit["LoadState"] == "not-found" {
		return State{}, nil
	}
	var s State
	s.Active, _ = unit["ActiveState"].(string)
	s.Sub, _ = unit["SubState"].(string)
	pid, _ := unit["MainPID"].(uint32)
	status, _ := unit["ExecMainStatus"].(int32)
	stored, _ := unit["NFileDescriptorStore"].(uint32)
	s.PID, s.Status, s.Stored = int(pid), int(status), int(stored)
	return s, nil
}

// Start starts the transient service s and waits until it is ready. A property
// that this manager does not know is left out where the service can do without
// it, and is named by the error where not. Where the start fails, the service is
// stopped, lest it be restarted for ever.
func (m *Manager) Start(ctx context.Context, s Service) error {
	properties := s.properties()
	for {
		refused, err := m.start(ctx, s.Name, properties)
		rest := slices.DeleteFunc(slices.Clone(properties), refused)
		if err == nil || len(rest) == len(properties) {
			return err
		}
		properties = rest
	}
}

// start tries once. Its function tells which properties to do without.
func (m *Manager) start(ctx context.Context, name string, properties []sd.Property) (func(sd.Property) bool, error) {
	nothing := func(sd.Property) bool { return false }
	result, err := m.job(ctx, func(units *sd.Conn, ended chan<- string) (int, error) {
		_ = units.ResetFailedUnitContext(ctx, name) // a failed one would be in the way
		return units.StartTransientUnitContext(ctx, name, replaceConflicts, properties, ended)
	})
	switch {
	case named(err, refusedProperty) || named(err, unknownProperty):
		text := err.Error()
		err = fmt.Errorf("start %s: this systemd is too old: %w", name, err)
		return func(p sd.Property) bool { return optional(p.Name) && mentions(text, p.Name) }, err
	case err != nil:
		return nothing, fmt.Errorf("start %s: %w", name, err)
	case result == jobDone:
		return nothing, nil
	}
	state, inspected := m.Inspect(ctx, name)
	stopped := m.Stop(ctx, name)
	if state.Status == exitScheduler {
		return scheduling, fmt.Errorf("start %s: the kernel grants it no real time", name)
	}
	return nothing, errors.Join(fmt.Errorf("start %s: %s", name, why(name, result, state)), inspected, stopped)
}

// mentions reports whether the text names the property, and not a longer one.
func mentions(text, property string) bool {
	return slices.Contains(strings.FieldsFunc(text, func(r rune) bool {
		return r == ' ' || r == ',' || r == '.' || r == ':' || r == '\'' || r == '"'
	}), property)
}

// why says how a start ended, and what to do.
func why(name, result string, s State) string {
	if s.Status == exitExec {
		return "the host cannot execute the binary (status 203): is its file system mounted noexec? " +
			"On a host with SELinux, label it: `chcon -t bin_t /var/lib/picket/picket-holder`"
	}
	return fmt.Sprintf("its job ended as %q, its process with status %d: see `journalctl -u %s`", result, s.Status, name)
}

// Stop stops a service and waits for its end. One that is not there is no error.
func (m *Manager) Stop(ctx context.Context, name string) error {
	result, err := m.job(ctx, func(units *sd.Conn, ended chan<- string) (int, error) {
		return units.StopUnitContext(ctx, name, replaceConflicts, ended)
	})
	switch {
	case named(err, unknownUnit):
		return nil
	case err == nil && result != jobDone:
		err = fmt.Errorf("its job ended as %q", result)
	}
	if err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return nil
}

// Patience bounds one conversation with the manager: long enough to start and
// to stop a service once and to reload twice, on a host that is out of breath.
const Patience = 2 * (startWithin + stopWithin + reloadWithin)
