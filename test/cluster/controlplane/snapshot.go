package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Snapshot copies etcd's data directory to a new directory. etcd is frozen
// while the copy is made, which takes milliseconds, so the copy is what a
// power cut would leave: etcd's log makes it whole again.
func (p *Plane) Snapshot(dir string) error {
	if err := p.etcd.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("snapshot etcd: %w", err)
	}
	copyErr := os.CopyFS(dir, os.DirFS(p.path("etcd.data")))
	if err := errors.Join(copyErr, p.etcd.Signal(syscall.SIGCONT)); err != nil {
		return fmt.Errorf("snapshot etcd: %w", err)
	}
	return nil
}

// Restore puts an older snapshot in etcd's place: objects and resource versions
// go back in time. Like an administrator who follows the manual, it restarts
// the API server, the controller manager and the scheduler; all other clients
// must cope. It returns once the API server is ready.
func (p *Plane) Restore(ctx context.Context, dir string) error {
	p.Stop()
	data := p.path("etcd.data")
	if err := os.RemoveAll(data); err != nil {
		return fmt.Errorf("restore etcd: %w", err)
	}
	if err := os.CopyFS(data, os.DirFS(dir)); err != nil {
		return fmt.Errorf("restore etcd: %w", err)
	}
	// etcd refuses a data directory that others can read.
	if err := os.Chmod(data, 0o700); err != nil {
		return fmt.Errorf("restore etcd: %w", err)
	}
	if err := p.startEtcd(); err != nil {
		return err
	}
	if err := p.StartAPI(ctx); err != nil {
		return err
	}
	return p.startControllers()
}
