package rejoin

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/picket-dev/picket/agent/internal/block"
	"github.com/picket-dev/picket/agent/teardown"
)

// setManual keeps open-iscsi from logging in by itself, in all files of the
// record that the step names.
func (o order) setManual() error {
	address, port, err := net.SplitHostPort(o.Step.Portal)
	if err != nil {
		return err
	}
	if o.Step.Target == "" || strings.ContainsAny(o.Step.Target+address+port+o.Step.Interface, "/*?[") {
		return fmt.Errorf("no record has such a name: %s %s %s", o.Step.Target, o.Step.Portal, o.Step.Interface)
	}
	found := false
	for _, dir := range o.Config.Host.Records {
		at := filepath.Join(o.Config.Host.Root, dir, o.Step.Target)
		place := address + "," + port // with a portal group, unless the record was made by hand
		for _, pattern := range []string{place, place + ",*", place + ",*/*"} {
			files, err := filepath.Glob(filepath.Join(at, pattern))
			if err != nil {
				return err
			}
			for _, file := range files {
				changed, err := manual(file, o.Step.Interface, filepath.Dir(filepath.Join(o.Config.Host.Root, dir)))
				if err != nil {
					return err
				}
				found = found || changed
			}
		}
	}
	if !found {
		return errors.New("there is no such record")
	}
	return nil
}

// manual rewrites one record, if it is of that interface, and reports whether
// it is. The new file is made in scratch, where nothing takes it for a record,
// and keeps the old one's owner and mode: it holds passwords.
func manual(path, iface, scratch string) (bool, error) {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false, ignoreGone(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	of := filepath.Base(path)
	if strings.Contains(of, ",") {
		of = "" // a file without an interface in its name
	}
	var out bytes.Buffer
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, "=")
		switch strings.TrimSpace(key) {
		case "iface.iscsi_ifacename":
			of = strings.TrimSpace(value)
		case "node.startup", "node.conn[0].startup":
			line = strings.TrimSpace(key) + " = manual\n"
		}
		out.WriteString(line)
	}
	if of != iface {
		return false, nil
	}
	f, err := os.CreateTemp(scratch, ".picket-*")
	if err != nil {
		return false, err
	}
	_, err = f.Write(out.Bytes())
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && err == nil {
		err = f.Chown(int(owner.Uid), int(owner.Gid))
	}
	if err == nil {
		err = f.Chmod(info.Mode().Perm())
	}
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return false, errors.Join(err, os.Remove(f.Name()))
	}
	return true, nil
}

// logout ends one session, by the host's own open-iscsi: its daemon would make
// it anew if it were ended behind its back.
func (o order) logout() error {
	dir := filepath.Join(o.Config.Host.Sys, "class/iscsi_session", "session"+o.Step.Session)
	if err := same(filepath.Join(dir, "targetname"), o.Step.Target); err != nil {
		return err
	}
	if err := o.onlyUnits(dir); err != nil {
		return err
	}
	// The tool is searched for where the host has it, not this process.
	if err := os.Setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"); err != nil {
		return err
	}
	text, err := exec.Command("iscsiadm", "--mode", "session", "--sid", o.Step.Session, "--logout").CombinedOutput()
	if err != nil {
		return fmt.Errorf("log out of session %s: %w: %.300s", o.Step.Session, err, bytes.TrimSpace(text))
	}
	return nil
}

// onlyUnits refuses a session that serves anything else than the step's units: what
// has come to it since the plan was made can be a volume's that is attached here.
func (o order) onlyUnits(session string) error {
	units, err := filepath.Glob(filepath.Join(session, "device/target*/*:*:*:*"))
	if err != nil {
		return err
	}
	for _, unit := range units {
		kind, err := os.ReadFile(filepath.Join(unit, "type"))
		if err := ignoreGone(err); err != nil {
			return err
		}
		if block.HoldsNothing(strings.TrimSpace(string(kind))) {
			continue
		}
		numbers, err := filepath.Glob(filepath.Join(unit, "block/*/dev"))
		if err != nil {
			return err
		}
		if len(numbers) == 0 {
			return fmt.Errorf("the session serves unit %s by now, which has no block device", filepath.Base(unit))
		}
		for _, number := range numbers {
			if err := o.goes(number); err != nil {
				return err
			}
		}
	}
	return nil
}

// goes refuses a device that is none of those that the step takes away, by its
// file dev in sysfs.
func (o order) goes(number string) error {
	text, err := os.ReadFile(number)
	if err != nil {
		return ignoreGone(err)
	}
	dir := filepath.Dir(number)
	if n := teardown.UnitWord(strings.TrimSpace(string(text)), block.Unit(dir)); !slices.Contains(strings.Fields(o.Step.Units), n) {
		return fmt.Errorf("%s would go with it, which the plan does not name: %s, not only %q", filepath.Base(dir), n, o.Step.Units)
	}
	return nil
}
