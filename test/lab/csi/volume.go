package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A volume is what the PersistentVolume's attributes say.
type volume struct {
	Handle string

	// iSCSI: a unit of a target at portals, more than one for multipath.
	Target  string
	LUN     int
	Portals []string
	// Startup is the node record's node.startup: manual, or automatic, which
	// logs in again after a boot.
	Startup string
	// Deaf sessions send no pings of their own, do not notice that their target is
	// gone, and wait long for its answer to a logout.
	Deaf bool

	// RBD: an image, and how to reach it.
	Monitor, Pool, Image, User, Key string

	// Passphrase puts LUKS on the device, unless it is empty.
	Passphrase string
}

// parseVolume reads a volume's attributes.
func parseVolume(handle string, attributes map[string]string) (volume, error) {
	v := volume{
		Handle: handle, Target: attributes["iqn"], Portals: strings.Fields(strings.ReplaceAll(attributes["portals"], ",", " ")),
		Startup: attributes["startup"], Deaf: attributes["deaf"] != "",
		Monitor: attributes["monitor"], Pool: attributes["pool"], Image: attributes["image"], User: attributes["user"], Key: attributes["key"],
		Passphrase: attributes["passphrase"],
	}
	if v.Startup == "" {
		v.Startup = "manual"
	}
	switch {
	case handle == "" || handle != filepath.Base(handle):
		return v, fmt.Errorf("volume %q has no name for a file", handle)
	case v.Image != "":
		if v.Monitor == "" || v.Pool == "" || v.User == "" || v.Key == "" {
			return v, fmt.Errorf("volume %s: an image needs monitor, pool, user and key", handle)
		}
		return v, nil
	case v.Target == "" || len(v.Portals) == 0:
		return v, fmt.Errorf("volume %s names neither an image nor a target with portals", handle)
	}
	var err error
	if v.LUN, err = strconv.Atoi(attributes["lun"]); err != nil {
		return v, fmt.Errorf("volume %s: lun: %w", handle, err)
	}
	return v, nil
}

// file is where the driver remembers a volume that it staged, since the kubelet
// does not repeat the attributes.
func (d *driver) file(handle string) string { return filepath.Join(d.dir, handle+".json") }

func (d *driver) save(v volume) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(d.file(v.Handle), text, 0o600)
}

func (d *driver) load(handle string) (v volume, err error) {
	text, err := os.ReadFile(d.file(filepath.Base(handle)))
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal(text, &v)
}
