package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// bus is krbd's.
const bus = "/sys/bus/rbd"

// mapped finds the volume's image among those that krbd has mapped, by the number
// of its device.
func (v volume) mapped() (string, error) {
	devices, err := filepath.Glob(bus + "/devices/*")
	if err != nil {
		return "", err
	}
	for _, d := range devices {
		pool, _ := os.ReadFile(d + "/pool")
		image, _ := os.ReadFile(d + "/name")
		if strings.TrimSpace(string(pool)) == v.Pool && strings.TrimSpace(string(image)) == v.Image {
			return filepath.Base(d), nil
		}
	}
	return "", nil
}

// mapImage maps the image, by the kernel's own interface: the host has no tools
// of Ceph's. A mapping that is there is used, as ceph-csi does.
func (v volume) mapImage(ctx context.Context) (string, error) {
	if _, err := run(ctx, "", "modprobe", "rbd"); err != nil {
		return "", err
	}
	id, err := v.mapped()
	if err != nil {
		return "", err
	}
	if id == "" {
		line := fmt.Sprintf("%s name=%s,secret=%s,noshare %s %s -", v.Monitor, v.User, v.Key, v.Pool, v.Image)
		if err := os.WriteFile(bus+"/add_single_major", []byte(line), 0); err != nil {
			return "", fmt.Errorf("map %s/%s: %w", v.Pool, v.Image, err)
		}
		if id, err = v.mapped(); err != nil || id == "" {
			return "", fmt.Errorf("%s/%s is mapped nowhere: %w", v.Pool, v.Image, err)
		}
	}
	device := "/dev/rbd" + id
	return device, appears(ctx, device)
}

// unmapImage unmaps the image, if it is mapped.
func (v volume) unmapImage() error {
	id, err := v.mapped()
	if err != nil || id == "" {
		return err
	}
	if err := os.WriteFile(bus+"/remove_single_major", []byte(id), 0); err != nil {
		return fmt.Errorf("unmap %s/%s: %w", v.Pool, v.Image, err)
	}
	return nil
}
