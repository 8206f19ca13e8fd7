package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// login logs in at all portals, and returns the disk's path, or the multipath
// map's where there is more than one portal.
func (v volume) login(ctx context.Context) (string, error) {
	var disks []string
	for _, portal := range v.Portals {
		if err := v.session(ctx, portal); err != nil {
			return "", err
		}
		disks = append(disks, v.disk(portal))
	}
	for _, disk := range disks {
		if err := appears(ctx, disk); err != nil {
			return "", err
		}
	}
	if len(disks) == 1 {
		return disks[0], nil
	}
	if _, err := run(ctx, "", "systemctl", "start", "multipathd.service"); err != nil {
		return "", err
	}
	return multipath(ctx, disks)
}

// disk is udev's name of the unit behind a portal.
func (v volume) disk(portal string) string {
	return fmt.Sprintf("/dev/disk/by-path/ip-%s-iscsi-%s-lun-%d", portal, v.Target, v.LUN)
}

// session makes a node record and a session, or looks for new units in the one
// that is there.
func (v volume) session(ctx context.Context, portal string) error {
	node := []string{"--mode", "node", "--targetname", v.Target, "--portal", portal}
	iscsiadm := func(more ...string) error {
		_, err := run(ctx, "", "iscsiadm", append(node, more...)...)
		return err
	}
	if exists(v.disk(portal)) {
		return nil
	}
	if err := iscsiadm("--rescan"); err == nil {
		return nil
	}
	if err := iscsiadm("--op", "new"); err != nil {
		return err
	}
	settings := map[string]string{"node.startup": v.Startup}
	if len(v.Portals) > 1 { // a path that is lost is multipathd's to deal with
		settings["node.session.timeo.replacement_timeout"] = "5"
	}
	if v.Deaf {
		settings["node.conn[0].timeo.noop_out_interval"] = "0"
		settings["node.conn[0].timeo.noop_out_timeout"] = "0"
	}
	for key, value := range settings {
		if err := iscsiadm("--op", "update", "--name", key, "--value", value); err != nil {
			return err
		}
	}
	err := iscsiadm("--login")
	var exit exitError
	const there = 15 // iscsiadm(8): session exists
	if errors.As(err, &exit) && exit.code == there {
		return nil
	}
	return err
}

// appears waits until udev has named a device.
func appears(ctx context.Context, path string) error {
	for !exists(path) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not appear: %w", path, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

// multipath waits until one map lies above all disks, and returns its path.
func multipath(ctx context.Context, disks []string) (string, error) {
	for {
		found := mapAbove(disks)
		if found != "" && exists(found) {
			return found, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("no multipath map over %v: %w", disks, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// mapAbove returns the path of the multipath map that all disks are in, empty if
// there is none.
func mapAbove(disks []string) string {
	found := ""
	for _, disk := range disks {
		node, err := filepath.EvalSymlinks(disk)
		if err != nil {
			return ""
		}
		holders, _ := filepath.Glob(filepath.Join("/sys/class/block", filepath.Base(node), "holders/dm-*"))
		at := ""
		for _, h := range holders {
			uuid, _ := os.ReadFile(filepath.Join("/sys/class/block", filepath.Base(h), "dm/uuid"))
			name, _ := os.ReadFile(filepath.Join("/sys/class/block", filepath.Base(h), "dm/name"))
			if strings.HasPrefix(string(uuid), "mpath-") {
				at = "/dev/mapper/" + strings.TrimSpace(string(name))
			}
		}
		if at == "" || found != "" && at != found {
			return ""
		}
		found = at
	}
	return found
}

// logout removes the map, and the unit or, where it is the only one, its session
// with the node record.
func (v volume) logout(ctx context.Context) error {
	if len(v.Portals) > 1 {
		for _, portal := range v.Portals { // any path that is left knows the map
			if at := mapAbove([]string{v.disk(portal)}); at != "" {
				if _, err := run(ctx, "", "multipath", "-f", filepath.Base(at)); err != nil {
					return err
				}
			}
		}
	}
	for _, portal := range v.Portals {
		if err := v.leave(ctx, portal); err != nil {
			return err
		}
	}
	return nil
}

// unitOf finds a unit's address in the path of its device.
func unitOf(device string) (session, lun string) {
	for part := range strings.SplitSeq(device, "/") {
		if strings.HasPrefix(part, "session") {
			session = part
		}
		if fields := strings.Split(part, ":"); len(fields) == 4 {
			lun = fields[3]
		}
	}
	return session, lun
}

// leave deletes the volume's unit of the session at a portal, and ends a session
// without units.
func (v volume) leave(ctx context.Context, portal string) error {
	session, err := v.sessionAt(portal)
	if err != nil || session == "" {
		return err
	}
	disks, err := filepath.Glob(filepath.Join("/sys/class/iscsi_session", session, "device/target*/*:*:*:*/block/*"))
	if err != nil {
		return err
	}
	others := 0
	for _, disk := range disks {
		if _, lun := unitOf(disk); lun != strconv.Itoa(v.LUN) {
			others++
			continue
		}
		if err := os.WriteFile(filepath.Join(disk, "device/delete"), []byte("1\n"), 0); err != nil {
			return err
		}
	}
	if others > 0 {
		return nil
	}
	if _, err := run(ctx, "", "iscsiadm", "--mode", "session", "--sid", strings.TrimPrefix(session, "session"), "--logout"); err != nil {
		return err
	}
	_, err = run(ctx, "", "iscsiadm", "--mode", "node", "--targetname", v.Target, "--portal", portal, "--op", "delete")
	return err
}

// sessionAt finds the session of the volume's target at a portal; none is fine.
func (v volume) sessionAt(portal string) (string, error) {
	connections, err := filepath.Glob("/sys/class/iscsi_connection/connection*:0")
	if err != nil {
		return "", err
	}
	for _, c := range connections {
		id, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(c), "connection"), ":")
		target, err := os.ReadFile("/sys/class/iscsi_session/session" + id + "/targetname")
		address, err2 := os.ReadFile(c + "/persistent_address")
		port, err3 := os.ReadFile(c + "/persistent_port")
		if errors.Join(err, err2, err3) != nil {
			continue // on its way out
		}
		at := strings.TrimSpace(string(address)) + ":" + strings.TrimSpace(string(port))
		if strings.TrimSpace(string(target)) == v.Target && at == portal {
			return "session" + id, nil
		}
	}
	return "", nil
}
