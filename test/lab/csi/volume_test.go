package main

import (
	"errors"
	"os"
	"testing"
)

func TestParseVolume(t *testing.T) {
	iscsi := map[string]string{"iqn": "iqn.x", "lun": "7", "portals": "10.0.0.1:3260,10.0.0.2:3260", "passphrase": "p"}
	rbd := map[string]string{"monitor": "10.0.0.1:6789", "pool": "rbd", "image": "i", "user": "k", "key": "s"}
	v, err := parseVolume("v", iscsi)
	if err != nil || v.LUN != 7 || len(v.Portals) != 2 || v.Startup != "manual" || v.Passphrase != "p" {
		t.Errorf("iSCSI: %+v, %v", v, err)
	}
	if v, err := parseVolume("v", rbd); err != nil || v.Image != "i" || v.mounted("/s") != "/s/v" {
		t.Errorf("RBD: %+v, %v", v, err)
	}
	for name, test := range map[string]struct {
		handle  string
		without string
		of      map[string]string
	}{
		"a handle that leads elsewhere": {"../v", "", iscsi},
		"no handle":                     {"", "", iscsi},
		"no portal":                     {"v", "portals", iscsi},
		"no unit":                       {"v", "lun", iscsi},
		"no key":                        {"v", "key", rbd},
	} {
		attributes := map[string]string{}
		for key, value := range test.of {
			if key != test.without {
				attributes[key] = value
			}
		}
		if v, err := parseVolume(test.handle, attributes); err == nil {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// The kubelet says a volume's attributes once.
func TestDriverRemembers(t *testing.T) {
	d := &driver{dir: t.TempDir()}
	v := volume{Handle: "v", Target: "iqn.x", LUN: 7, Portals: []string{"10.0.0.1:3260"}}
	if err := d.save(v); err != nil {
		t.Fatal(err)
	}
	if got, err := d.load("v"); err != nil || got.Target != v.Target || got.LUN != 7 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := d.load("w"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a volume that was never staged: %v", err)
	}
}

func TestUnitOf(t *testing.T) {
	session, lun := unitOf("/sys/class/iscsi_session/session3/device/target2:0:0/2:0:0:7/block/sdb")
	if session != "session3" || lun != "7" {
		t.Errorf("session %s, unit %s", session, lun)
	}
}
