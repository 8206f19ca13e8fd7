package iscsi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/picket-dev/picket/test/cluster/proc"
)

// TargetConfig says how to start tgtd.
type TargetConfig struct {
	// Portal is where tgtd listens, and what it tells initiators in a
	// discovery: the address that they use, be it redirected or not. So is
	// Second, the other path of what is reached by two; none where it is unset.
	Portal, Second netip.AddrPort
	// IQN names the one target.
	IQN string
	// Volumes are its LUNs, the first one LUN 1, each a file made by
	// CreateVolume.
	Volumes []string
	// Control tells apart the tgtds of one machine, 1 to 32767. Debian's
	// service has 0. tgtd's control socket lies in the file system, not in a
	// network namespace.
	Control int
	// Dir takes the log.
	Dir string
	// In precedes the command, as in "ip netns exec lab"; empty for none.
	In []string
}

// A Target is a running tgtd.
type Target struct {
	cfg     TargetConfig
	process *proc.Process

	mu    sync.Mutex
	added map[int]bool // numbers of the targets beside the first
}

// controlSocket is where tgtd takes commands, with its number appended. tgtd
// leaves the file behind.
const controlSocket = "/var/run/tgtd/socket."

// How long tgtd has until it answers, and until it has ended.
const (
	startTimeout = 20 * time.Second
	stopTimeout  = 10 * time.Second
)

// StartTarget starts tgtd with one LUN per volume, open to all initiators. The
// caller must Stop it; it does not outlive the program.
func StartTarget(ctx context.Context, c TargetConfig) (*Target, error) {
	process, err := proc.Start(proc.Command{
		Name: "tgtd",
		Argv: append(append([]string(nil), c.In...),
			"tgtd", "-f", "--iscsi", "portal="+c.Portal.String(), "-C", strconv.Itoa(c.Control)),
		Log: filepath.Join(c.Dir, "tgtd.log"),
	})
	if err != nil {
		return nil, err
	}
	t := &Target{cfg: c, process: process, added: make(map[int]bool)}
	if err := t.configure(ctx); err != nil {
		process.KillGroup()
		return nil, fmt.Errorf("configure tgtd (see %s): %w", filepath.Join(c.Dir, "tgtd.log"), err)
	}
	return t, nil
}

// Stop ends tgtd and its connections. It has written what it acknowledged.
func (t *Target) Stop(ctx context.Context) error {
	defer t.process.KillGroup()
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	// tgtd ends by its own command, once it has no target; it ignores SIGTERM.
	var failed []error
	for _, tid := range append(t.others(), 1) {
		failed = append(failed, t.Remove(ctx, tid))
	}
	err := errors.Join(append(failed, t.admin(ctx, "--op", "delete", "--mode", "system"))...)
	if err != nil {
		return fmt.Errorf("stop tgtd: %w", err)
	}
	select {
	case <-t.process.Done():
		socket := controlSocket + strconv.Itoa(t.cfg.Control)
		return errors.Join(os.Remove(socket), os.Remove(socket+".lock"))
	case <-ctx.Done():
		return fmt.Errorf("stop tgtd: still running %v after its targets, killed", stopTimeout)
	}
}

// Done is closed once tgtd has ended, whoever ended it.
func (t *Target) Done() <-chan struct{} { return t.process.Done() }

func (t *Target) configure(ctx context.Context) error {
	if err := t.answers(ctx); err != nil {
		return err
	}
	if t.cfg.Second.IsValid() {
		if err := t.admin(ctx, "--op", "new", "--mode", "portal", "--param", "portal="+t.cfg.Second.String()); err != nil {
			return err
		}
	}
	units := make(map[int]string)
	for i, volume := range t.cfg.Volumes {
		units[i+1] = volume
	}
	return t.serve(ctx, 1, t.cfg.IQN, units)
}

// Add serves one more target: its number must be above 1, and its units are files
// by LUN. A LUN that no other target has names the volume in the log.
func (t *Target) Add(ctx context.Context, tid int, iqn string, units map[int]string) error {
	t.mu.Lock()
	t.added[tid] = true
	t.mu.Unlock()
	return t.serve(ctx, tid, iqn, units)
}

// serve makes a target, which is open to all initiators once it is complete.
func (t *Target) serve(ctx context.Context, tid int, iqn string, units map[int]string) error {
	id := strconv.Itoa(tid)
	if err := t.admin(ctx, "--op", "new", "--mode", "target", "--tid", id, "-T", iqn); err != nil {
		return err
	}
	for _, lun := range slices.Sorted(maps.Keys(units)) {
		if err := t.AddUnit(ctx, tid, lun, units[lun]); err != nil {
			return err
		}
	}
	return t.admin(ctx, "--op", "bind", "--mode", "target", "--tid", id, "-I", "ALL")
}

// AddUnit serves one more file by a target that is there.
func (t *Target) AddUnit(ctx context.Context, tid, lun int, volume string) error {
	return t.admin(ctx, "--op", "new", "--mode", "logicalunit", "--tid", strconv.Itoa(tid), "--lun", strconv.Itoa(lun), "-b", volume)
}

// Remove ends a target and its sessions.
func (t *Target) Remove(ctx context.Context, tid int) error {
	t.mu.Lock()
	delete(t.added, tid)
	t.mu.Unlock()
	return t.admin(ctx, "--op", "delete", "--mode", "target", "--tid", strconv.Itoa(tid), "--force")
}

// others are the numbers of the targets that were added.
func (t *Target) others() []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.added))
}

// answers waits until tgtd takes commands.
func (t *Target) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := t.admin(ctx, "--op", "show", "--mode", "system")
		if err == nil {
			return nil
		}
		select {
		case <-t.process.Done():
			return fmt.Errorf("tgtd ended: %v", t.process.State())
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// admin runs tgtadm, whose words become the error.
func (t *Target) admin(ctx context.Context, args ...string) error {
	args = append([]string{"-C", strconv.Itoa(t.cfg.Control), "--lld", "iscsi"}, args...)
	out, err := exec.CommandContext(ctx, "tgtadm", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("tgtadm %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
