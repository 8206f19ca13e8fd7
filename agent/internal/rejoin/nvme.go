package rejoin

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// disconnect ends all controllers of an NVMe subsystem over fabrics.
func (o order) disconnect() error {
	if err := o.onlyNamespaces(); err != nil {
		return err
	}
	class := filepath.Join(o.Config.Host.Sys, "class/nvme")
	entries, err := os.ReadDir(class)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		dir := filepath.Join(class, e.Name())
		nqn, err := os.ReadFile(filepath.Join(dir, "subsysnqn"))
		if err != nil || o.Step.NQN == "" || strings.TrimSpace(string(nqn)) != o.Step.NQN {
			errs = append(errs, ignoreGone(err))
			continue
		}
		if transport, err := os.ReadFile(filepath.Join(dir, "transport")); err != nil || strings.TrimSpace(string(transport)) == "pcie" {
			errs = append(errs, fmt.Errorf("%s is no controller over fabrics: %w", e.Name(), cmp.Or(err, errLocal)))
			continue
		}
		errs = append(errs, write(filepath.Join(dir, "delete_controller"), "1\n"))
	}
	return errors.Join(errs...)
}

var errLocal = errors.New("its transport is pcie")

// onlyNamespaces refuses a subsystem that has other namespaces than the step's.
func (o order) onlyNamespaces() error {
	numbers, err := filepath.Glob(filepath.Join(o.Config.Host.Sys, "class/block/nvme*/dev"))
	if err != nil {
		return err
	}
	for _, number := range numbers {
		if hidden, err := os.ReadFile(filepath.Join(filepath.Dir(number), "hidden")); err == nil && strings.TrimSpace(string(hidden)) == "1" {
			continue // a namespace's path, which is no device of its own
		}
		nqn, err := os.ReadFile(filepath.Join(filepath.Dir(number), "device/subsysnqn")) // a partition has none
		if err := ignoreGone(err); err != nil {
			return err
		}
		if o.Step.NQN == "" || strings.TrimSpace(string(nqn)) != o.Step.NQN {
			continue
		}
		if err := o.goes(number); err != nil {
			return err
		}
	}
	return nil
}
