package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// connect makes the volume's device appear, and returns its path.
func (v volume) connect(ctx context.Context) (device string, err error) {
	if v.Image != "" {
		device, err = v.mapImage(ctx)
	} else {
		device, err = v.login(ctx)
	}
	if err != nil || v.Passphrase == "" {
		return device, err
	}
	return v.unlock(ctx, device)
}

// stage mounts the volume at the kubelet's staging path; of a raw block volume
// there is only the device.
func (v volume) stage(ctx context.Context, staging string, block bool) error {
	if v.Image != "" {
		if err := v.describe(staging); err != nil {
			return err
		}
	}
	device, err := v.connect(ctx)
	if err != nil || block {
		return err
	}
	at := v.mounted(staging)
	if mounted, err := isMounted(at); err != nil || mounted {
		return err
	}
	if err := os.MkdirAll(at, 0o750); err != nil {
		return err
	}
	kind, err := run(ctx, "", "blkid", "-p", "-s", "TYPE", "-o", "value", device)
	var exit exitError
	const nothing = 2 // blkid(8)
	if err != nil && !(errors.As(err, &exit) && exit.code == nothing) {
		return err
	}
	if kind == "" {
		if _, err := run(ctx, "", "mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", device); err != nil {
			return err
		}
	}
	_, err = run(ctx, "", "mount", "-t", "ext4", device, at)
	return err
}

// mounted is where the file system is mounted: ceph-csi puts that of an image one
// directory below the staging path, where its own file lies.
func (v volume) mounted(staging string) string {
	if v.Image != "" {
		return filepath.Join(staging, v.Handle)
	}
	return staging
}

// describe writes ceph-csi's own file about an image.
func (v volume) describe(staging string) error {
	text, err := json.Marshal(map[string]any{
		"version": 2, "pool": v.Pool, "radosNamespace": "", "image": v.Image,
		"accessType": false, "nbdAccess": false, "encrypted": v.Passphrase != "",
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(staging, 0o750); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(staging, "image-meta.json"), text, 0o600)
}

// unstage takes the volume off the node. What is not there any more is fine.
func (v volume) unstage(ctx context.Context, staging string) error {
	if err := unmount(ctx, v.mounted(staging)); err != nil {
		return err
	}
	if v.Passphrase != "" && exists(v.unlocked()) {
		if _, err := run(ctx, "", "cryptsetup", "close", filepath.Base(v.unlocked())); err != nil {
			return err
		}
	}
	if v.Image != "" {
		if err := v.unmapImage(); err != nil {
			return err
		}
		_ = os.Remove(v.mounted(staging))
		err := os.Remove(filepath.Join(staging, "image-meta.json"))
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		return err
	}
	return v.logout(ctx)
}

// publishNode binds the volume's device node to the kubelet's path.
func (v volume) publishNode(ctx context.Context, target string) error {
	device, err := v.connect(ctx)
	if err != nil {
		return err
	}
	if mounted, err := isMounted(target); err != nil || mounted {
		return err
	}
	file, err := os.OpenFile(target, os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	file.Close()
	// Of the node itself, not of udev's link to it, which goes with the device.
	if device, err = filepath.EvalSymlinks(device); err != nil {
		return err
	}
	_, err = run(ctx, "", "mount", "--bind", device, target)
	return err
}

// bindDirectory binds what is staged to the kubelet's path.
func bindDirectory(ctx context.Context, from, target string) error {
	if mounted, err := isMounted(from); err != nil || !mounted {
		return fmt.Errorf("nothing is mounted at %s: %w", from, errors.Join(err, os.ErrNotExist))
	}
	if mounted, err := isMounted(target); err != nil || mounted {
		return err
	}
	if err := os.MkdirAll(target, 0o750); err != nil {
		return err
	}
	_, err := run(ctx, "", "mount", "--bind", from, target)
	return err
}

func unmount(ctx context.Context, target string) error {
	mounted, err := isMounted(target)
	if err != nil || !mounted {
		return err
	}
	_, err = run(ctx, "", "umount", target)
	return err
}

// isMounted asks the mount table, and not the path: that of a dead device hangs.
func isMounted(path string) (bool, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] == path {
			return true, nil
		}
	}
	return false, nil
}

// unlocked is the path of the volume's open LUKS device.
func (v volume) unlocked() string { return "/dev/mapper/luks-" + v.Handle }

// unlock opens the LUKS on a device, and puts it there first if there is none.
// Its key is cheap to derive: what protects it is not what the lab is about.
func (v volume) unlock(ctx context.Context, device string) (string, error) {
	if exists(v.unlocked()) {
		return v.unlocked(), nil
	}
	if _, err := run(ctx, "", "cryptsetup", "isLuks", device); err != nil {
		_, err := run(ctx, v.Passphrase, "cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2",
			"--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--luks2-metadata-size", "16k", "--luks2-keyslots-size", "512k",
			"--key-file", "-", device)
		if err != nil {
			return "", err
		}
	}
	_, err := run(ctx, v.Passphrase, "cryptsetup", "open", "--key-file", "-", device, filepath.Base(v.unlocked()))
	return v.unlocked(), err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
