package block

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/picket-dev/picket/agent/teardown"
)

// metadata returns the files in which the kubelet and CSI drivers say what volumes
// the node has, as patterns of files (see filesRequest). In-tree iSCSI has
// directories instead: its own file lies under the mount.
func metadata() []string {
	return []string{
		"{kubelet}/pods/*/volumes/kubernetes.io~csi/*/vol_data.json",
		"{kubelet}/plugins/kubernetes.io/csi/*/*/vol_data.json",
		"{kubelet}/plugins/kubernetes.io/csi/volumeDevices/*/data/vol_data.json",
		"{kubelet}/plugins/kubernetes.io/csi/*/*/globalmount/image-meta.json",
		"{kubelet}/plugins/kubernetes.io/csi/volumeDevices/staging/*/image-meta.json",
		"{kubelet}/plugins/kubernetes.io/iscsi/*/*/",
		"{kubelet}/plugins/kubernetes.io/iscsi/volumeDevices/*/*/",
	}
}

// volume reads what one metadata file says.
func volume(f file) (teardown.Volume, error) {
	switch name := path.Base(f.Path); {
	case name == "vol_data.json":
		return kubeletVolume(f)
	case name == "image-meta.json":
		return cephVolume(f)
	case strings.Contains(f.Path, "/plugins/kubernetes.io/iscsi/"):
		return treeVolume(f)
	}
	return tridentVolume(f)
}

// blank reports whether a file holds nothing: so a power cut leaves one that was
// written just before.
func blank(f file) bool { return strings.Trim(string(f.Text), "\x00 \n") == "" }

// noteBlank notes of a blank file the devices of what is mounted below its
// directory. Where nothing is, it has nothing to tell that matters: no boot before
// the power cut can have left a mount, and what came back by itself is told by
// the PersistentVolumes.
func (l *look) noteBlank(f file) {
	dir := path.Dir(f.Path)
	if path.Base(dir) == "data" {
		dir = path.Dir(dir) // a raw block volume's, whose mounts lie beside it
	}
	for _, m := range l.inv.Mounts {
		if m.Point == dir || strings.HasPrefix(m.Point, dir+"/") {
			l.noteDevice(deviceOf(m), f.Path, errors.New("it is empty"))
		}
	}
}

// kubeletVolume reads the kubelet's vol_data.json.
func kubeletVolume(f file) (teardown.Volume, error) {
	v := teardown.Volume{File: f.Path, Dir: path.Dir(f.Path)}
	var data struct {
		Driver string `json:"driverName"`
		Handle string `json:"volumeHandle"`
		PV     string `json:"specVolID"`
		Mode   string `json:"volumeLifecycleMode"`
	}
	if err := decode(f.Text, &data); err != nil {
		return v, err
	}
	v.Driver, v.Handle, v.PV = data.Driver, data.Handle, data.PV
	switch up := path.Dir(v.Dir); {
	case path.Base(v.Dir) == "data" && path.Base(path.Dir(up)) == "volumeDevices":
		// Raw block: the file lies beside the directory with the mounts.
		v.Dir = up
		v.PV = cmp.Or(v.PV, path.Base(up))
	case path.Base(up) == "pv":
		v.PV = cmp.Or(v.PV, path.Base(v.Dir)) // before Kubernetes 1.24
	}
	if v.Driver == "" || v.Handle == "" {
		return v, errors.New("it names no driver, or no volume")
	}
	if data.Mode == "Ephemeral" {
		v.Driver, v.Handle, v.PV = "", "", "" // part of its pod: no attachment says where it is
	}
	return v, nil
}

// cephVolume reads ceph-csi's image-meta.json.
func cephVolume(f file) (teardown.Volume, error) {
	v := teardown.Volume{File: f.Path, Dir: path.Dir(f.Path)}
	var data struct {
		Pool      string `json:"pool"`
		Namespace string `json:"radosNamespace"`
		Image     string `json:"image"`
	}
	if err := decode(f.Text, &data); err != nil {
		return v, err
	}
	v.Image = teardown.Image{Pool: data.Pool, Namespace: data.Namespace, Name: data.Image}
	if data.Pool == "" || data.Image == "" {
		return v, errors.New("it names no pool, or no image")
	}
	if path.Base(path.Dir(v.Dir)) == "staging" {
		v.PV = path.Base(v.Dir)
	}
	return v, nil
}

// tridentVolume reads one of Trident's tracking files, which are named by the
// volume. It holds credentials, too; they stay where they are.
func tridentVolume(f file) (teardown.Volume, error) {
	v := teardown.Volume{File: f.Path, Driver: "csi.trident.netapp.io"}
	var data struct {
		Staging string `json:"stagingTargetPath"`
		Target  string `json:"iscsiTargetIqn"`
		LUN     int64  `json:"iscsiLunNumber"`
		Serial  string `json:"iscsiLunSerial"`
		NVMe    string `json:"nvmeNamespaceUUID"`
	}
	if err := decode(f.Text, &data); err != nil {
		return v, err
	}
	v.Handle = strings.TrimSuffix(path.Base(f.Path), ".json")
	v.PV = v.Handle // Trident calls a volume as its PersistentVolume is called
	v.Dir = data.Staging
	if v.Dir != "" && (!path.IsAbs(v.Dir) || path.Clean(v.Dir) != v.Dir) {
		return v, fmt.Errorf("the staging path is no clean absolute path: %.80q", v.Dir)
	}
	if data.LUN < 0 {
		return v, fmt.Errorf("the unit's number is negative: %d", data.LUN)
	}
	if data.Target != "" {
		v.Target, v.LUN = data.Target, uint64(data.LUN)
	}
	switch {
	case data.Serial != "":
		v.WWID = netappPrefix + hex.EncodeToString([]byte(data.Serial))
	case data.NVMe != "":
		v.WWID = "uuid." + data.NVMe
	}
	return v, nil
}

// netappPrefix begins the WWID of every LUN of ONTAP; the serial follows it, in
// hexadecimal.
const netappPrefix = "3600a0980"

// treeVolume reads the name of an in-tree iSCSI volume's directory.
func treeVolume(f file) (teardown.Volume, error) {
	v := teardown.Volume{File: f.Path, Dir: f.Path}
	m := treeName.FindStringSubmatch(path.Base(f.Path))
	if m == nil {
		return v, errors.New("its name is not of the form PORTAL-TARGET-lun-N")
	}
	lun, err := strconv.ParseUint(m[2], 10, 64)
	if err != nil {
		return v, err
	}
	v.Target, v.LUN = m[1], lun
	return v, nil
}

// treeName is PORTAL-TARGET-lun-N; a target is named iqn., eui. or naa.
var treeName = regexp.MustCompile(`-((?:iqn|eui|naa)\..+)-lun-(\d+)$`)

// decode reads an object of JSON, and nothing behind it.
func decode(text []byte, into any) error {
	if trimmed := strings.TrimSpace(string(text)); !strings.HasPrefix(trimmed, "{") {
		return fmt.Errorf("no object of JSON: %.40q", trimmed)
	}
	return json.Unmarshal(text, into)
}
