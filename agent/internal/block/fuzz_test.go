package block

import (
	"bytes"
	"path"
	"strings"
	"testing"

	"github.com/picket-dev/picket/agent/teardown"
)

// plain are mounts that every node has, and volumes of some kinds.
const plain = `22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw
23 22 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
25 22 0:6 / /dev rw,nosuid shared:2 - devtmpfs udev rw,size=8123456k,nr_inodes=2030864,mode=755
31 22 0:27 / /run rw,nosuid,nodev shared:5 - tmpfs tmpfs rw,size=1630000k,mode=755
60 22 253:0 / /var/lib/kubelet rw,relatime shared:30 - xfs /dev/mapper/vg-kubelet rw,attr2,inode64
310 60 0:61 / /var/lib/kubelet/pods/1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed/volumes/kubernetes.io~projected/kube-api-access-x rw,relatime shared:90 - tmpfs tmpfs rw,size=170Mi
311 60 0:62 / /var/lib/kubelet/pods/1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed/volumes/kubernetes.io~csi/secrets-store/mount rw,relatime shared:91 - tmpfs tmpfs rw
312 60 253:0 /pods/1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed/volumes/kubernetes.io~configmap/c /var/lib/kubelet/pods/1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed/volume-subpaths/c/app/0 rw,relatime - xfs /dev/mapper/vg-kubelet rw
313 60 8:32 / /var/lib/kubelet/pods/1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed/volumes/kubernetes.io~local-volume/local-pv-1 rw,relatime shared:92 - ext4 /dev/sdc rw
314 22 252:0 / /srv/kubelet/pods/x/volumes/kubernetes.io~csi/pvc-elsewhere/mount rw - ext4 /dev/rbd9 rw
`

// Every line of a mountinfo file is a mount, or the whole is an error.
func FuzzMountinfo(f *testing.F) {
	f.Add([]byte(plain))
	f.Add([]byte("1 2 3:4 / /a\u00a0b rw - tmpfs  rw\n1 2 3:4 /x//deleted /\\040\\134 rw shared:1 master:2 - ext4 /dev/x rw,shutdown"))
	f.Fuzz(func(t *testing.T, text []byte) {
		mounts, err := parseMounts(text)
		if err != nil {
			return
		}
		lines := 0
		for line := range bytes.Lines(text) {
			if len(bytes.TrimSuffix(line, []byte("\n"))) > 0 {
				lines++
			}
		}
		if len(mounts) != lines {
			t.Errorf("%d mounts in %d lines", len(mounts), lines)
		}
		l := &look{}
		for _, m := range mounts {
			l.mountOf(1, m)
		}
	})
}

// FuzzMountPoint makes mountinfo as the kernel does, of any path.
func FuzzMountPoint(f *testing.F) {
	f.Add("/var/lib/kubelet/pods/x", "/dev/rbd0")
	f.Add("/a b\tc\nd\\e#f\u00a0\u2003\r\v\x85\xff", "")
	f.Fuzz(func(t *testing.T, point, source string) {
		if strings.ContainsRune(point+source, 0) || point == "" {
			return
		}
		kernel := strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`)
		text := "7 1 8:1 / " + kernel.Replace(point) + " rw shared:3 - ext4 " + kernel.Replace(source) + " rw\n"
		mounts, err := parseMounts([]byte(text))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if source == "" {
			source = "none"
		}
		if got := mounts[0]; len(mounts) != 1 || got.MountPoint != point || got.Source != source || got.FsType != "ext4" {
			t.Errorf("mounts of %q = %+v", text, mounts)
		}
	})
}

// What a metadata file says is complete, or it is an error.
func FuzzCSIMetadata(f *testing.F) {
	f.Add("/k/pods/u/volumes/kubernetes.io~csi/pv/vol_data.json", []byte(`{"driverName":"d","volumeHandle":"h","specVolID":"pv"}`))
	f.Add("/k/plugins/kubernetes.io/csi/volumeDevices/pv/data/vol_data.json", []byte(`{"driverName":"d","volumeHandle":"h"}`))
	f.Add("/k/plugins/kubernetes.io/csi/d/h/globalmount/image-meta.json", []byte(`{"Version":3,"pool":"p","radosNamespace":"","image":"i"}`))
	f.Add("/var/lib/trident/tracking/pvc-1.json", []byte(`{"iscsiTargetIqn":"iqn.x","iscsiLunNumber":3,"iscsiLunSerial":"wBKo","stagingTargetPath":"/x"}`))
	f.Add("/k/plugins/kubernetes.io/iscsi/iface-default/1.2.3.4:3260-iqn.2026-03.x:y-lun-7", []byte{})
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		v, err := volume(file{Path: name, Text: text})
		if err != nil {
			return
		}
		if v.File != name || v.Handle == "" && v.Image.Name == "" && v.Target == "" {
			t.Errorf("volume(%q, %q) = %+v: it names nothing", name, text, v)
		}
		if v.Dir != "" && v.Dir != path.Clean(v.Dir) && path.Clean(name) == name {
			t.Errorf("volume(%q, %q).Dir = %q", name, text, v.Dir)
		}
	})
}

func FuzzNodeRecord(f *testing.F) {
	f.Add("/etc/iscsi/nodes/iqn.x/1.2.3.4,3260,1/default", []byte("# BEGIN RECORD 2.1.8\nnode.name = iqn.x\nnode.startup = automatic\nnode.conn[0].address = 1.2.3.4\nnode.conn[0].port = 3260\n"))
	f.Add("/etc/iscsi/nodes/iqn.x/::1,3260,1", []byte("node.name=iqn.x\nnode.conn[0].address=::1\nnode.conn[0].port=3260\nnode.startup=onboot"))
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		r, err := record(file{Path: name, Text: text})
		if err != nil {
			return
		}
		if r.Target == "" || r.Startup == "" || !strings.Contains(r.Portal, ":") || !strings.Contains(name, r.Target) {
			t.Errorf("record(%q, %q) = %+v", name, text, r)
		}
	})
}

func FuzzRBD(f *testing.F) {
	f.Add("client4123", "rbd-nbd\x00map\x00pool/ns/image@snap\x00--device\x00/dev/nbd0")
	f.Add("client1", "/usr/bin/rbd-nbd\x00--pool=p\x00attach\x00--image\x00i")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, id, cmdline string) {
		if c, err := parseClient("f", id); err == nil && c.Cluster != "f" {
			t.Errorf("parseClient(%q) = %+v", id, c)
		}
		if img, ours := parseNBD(cmdline); !ours && img != (teardown.Image{}) {
			t.Errorf("parseNBD(%q) = %+v of nobody", cmdline, img)
		}
	})
}

// FuzzClaim reads fstab, crypttab, rbdmap, units and udev's files of any form.
func FuzzClaim(f *testing.F) {
	f.Add([]byte("/dev/vg-a/lv / ext4\nUUID=\"A-b\" none swap\nrbd/i@s id=k\nWhat=LABEL=x\\040y\nE:ID_FS_UUID=a-B\nS:disk/by-id/x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		l := &look{host: Host{Dev: "/nonexistent", Proc: "/nonexistent"}}
		nodes := []node{{Device: teardown.Device{Number: dev(8, 0), Name: "sda", Map: "vg--a-lv"}}, {Device: teardown.Device{Number: dev(252, 0), Name: "rbd0", Image: teardown.Image{Pool: "rbd", Name: "i"}}}}
		var files []file
		for _, name := range []string{"/etc/fstab", "/etc/crypttab", "/etc/ceph/rbdmap", "/etc/systemd/system/x.mount", "/run/udev/data/b8:0"} {
			files = append(files, file{Path: name, Text: text})
		}
		l.claim(nodes, files)
	})
}

func FuzzStat(f *testing.F) {
	f.Add("12 (a (b) c) D 1 2 3", "mnt:[4026531841]", "253:0")
	f.Fuzz(func(t *testing.T, stat, space, number string) {
		if _, state, err := parseStat(stat); err == nil && state == 0 {
			t.Logf("state 0 in %q", stat)
		}
		if id, err := parseSpace(space); err == nil && id == 0 {
			t.Errorf("parseSpace(%q) = 0", space)
		}
		if n, err := parseNumber(number); err == nil && strings.TrimLeft(number, "0123456789:") != "" {
			t.Errorf("parseNumber(%q) = %v", number, n)
		}
	})
}
