package block

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// host are mounts that every node has, and that are none of ours.
const host = `22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw
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

const pods = "/var/lib/kubelet/pods/6fa459ea-ee8a-3ca4-894e-db77e160355e"

func TestInventory(t *testing.T) {
	tests := []struct {
		name   string
		mounts string
		roots  []string
		want   []Device
	}{
		{name: "a node without volumes is Clean"},
		{
			name: "ceph-csi, staged and published",
			mounts: `500 60 252:0 / /var/lib/kubelet/plugins/kubernetes.io/csi/rook-ceph.rbd.csi.ceph.com/3f79bb7b435b05321651daefd374cdc681dc06faa65e374e38337b88ca046dea/globalmount/0001-0009-rook-ceph-0000000000000002 rw,relatime shared:300 - ext4 /dev/rbd0 rw,stripe=16
501 60 252:0 / ` + pods + `/volumes/kubernetes.io~csi/pvc-8d5c7a21/mount rw,relatime shared:300 - ext4 /dev/rbd0 rw,stripe=16
`,
			want: []Device{{"/dev/rbd0", "pvc-8d5c7a21"}},
		},
		{
			name: "staged alone",
			mounts: `500 60 252:16 / /var/lib/kubelet/plugins/kubernetes.io/csi/rbd.csi.ceph.com/9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab/globalmount rw - xfs /dev/rbd1 rw
501 60 252:32 / /var/lib/kubelet/plugins/kubernetes.io/csi/pv/pvc-old/globalmount rw - xfs /dev/rbd2 rw
`,
			want: []Device{{"/dev/rbd1", ""}, {"/dev/rbd2", "pvc-old"}},
		},
		{
			name: "in-tree iSCSI over multipath",
			mounts: `510 60 253:7 / /var/lib/kubelet/plugins/kubernetes.io/iscsi/iface-default/192.0.2.10:3260-iqn.2026-03.example:vol1-lun-1 rw - ext4 /dev/mapper/mpatha rw
511 60 253:7 / ` + pods + `/volumes/kubernetes.io~iscsi/pv-iscsi rw - ext4 /dev/mapper/mpatha rw
512 60 8:48 / /var/lib/kubelet/plugins/kubernetes.io/iscsi/iface-default/192.0.2.10:3260-iqn.2026-03.example:vol2-lun-1 rw - ext4 /dev/sdd rw
`,
			want: []Device{
				{"/dev/mapper/mpatha", "pv-iscsi"},
				{"/dev/sdd", "192.0.2.10:3260-iqn.2026-03.example:vol2-lun-1"},
			},
		},
		{
			name: "in-tree rbd",
			mounts: `520 60 252:0 / /var/lib/kubelet/plugins/kubernetes.io/rbd/mounts/rbd-image-vol3 rw - ext4 /dev/rbd0 rw
`,
			want: []Device{{"/dev/rbd0", "rbd-image-vol3"}},
		},
		{
			name: "raw block",
			mounts: `530 60 0:6 /rbd4 /var/lib/kubelet/plugins/kubernetes.io/csi/volumeDevices/publish/pvc-raw/6fa459ea-ee8a-3ca4-894e-db77e160355e rw - devtmpfs udev rw,size=8123456k
531 60 0:6 /rbd4 /var/lib/kubelet/plugins/kubernetes.io/csi/volumeDevices/staging/pvc-raw/0001-0009 rw - devtmpfs udev rw
532 60 0:6 /rbd4 ` + pods + `/volumeDevices/kubernetes.io~csi/pvc-raw rw - devtmpfs udev rw
533 60 0:6 /rbd5 /var/lib/kubelet/plugins/kubernetes.io/csi/volumeDevices/pvc-raw2/dev/6fa459ea rw - devtmpfs udev rw
`,
			want: []Device{{"/dev/rbd4", "pvc-raw"}, {"/dev/rbd5", "pvc-raw2"}},
		},
		{
			name: "a volume without a device",
			mounts: `540 60 0:77 /volumes/csi/csi-vol-1 ` + pods + `/volumes/kubernetes.io~csi/pvc-cephfs/mount rw - ceph 192.0.2.1:6789:/volumes/csi/csi-vol-1 rw,name=k,secret=<hidden>
`,
			want: []Device{{pods + "/volumes/kubernetes.io~csi/pvc-cephfs/mount", "pvc-cephfs"}},
		},
		{
			name: "two pods, one volume; one pod, two volumes",
			mounts: `550 60 252:0 / ` + pods + `/volumes/kubernetes.io~csi/pvc-b/mount rw - ext4 /dev/rbd1 rw
551 60 252:16 / ` + pods + `/volumes/kubernetes.io~csi/pvc-a/mount rw - ext4 /dev/rbd0 rw
552 60 252:16 / /var/lib/kubelet/pods/other/volumes/kubernetes.io~csi/pvc-a/mount ro - ext4 /dev/rbd0 rw
`,
			want: []Device{{"/dev/rbd0", "pvc-a"}, {"/dev/rbd1", "pvc-b"}},
		},
		{
			name: "escapes, and optional fields",
			mounts: `560 60 252:0 / ` + pods + `/volumes/kubernetes.io~csi/pvc\040with\134blank/mount rw shared:1 master:2 unbindable - ext4 /dev/disk/by\055id/a\040b rw
`,
			want: []Device{{"/dev/disk/by-id/a b", `pvc with\blank`}},
		},
		{
			name: "mounted over after a delete",
			mounts: `570 60 252:0 / ` + pods + `/volumes/kubernetes.io~csi/pvc-a/mount//deleted rw - ext4 /dev/rbd0 rw
`,
			want: []Device{{"/dev/rbd0", "pvc-a"}},
		},
		{
			name:   "another root",
			mounts: "", roots: []string{"/var/lib/kubelet", "/srv/kubelet"},
			want: []Device{{"/dev/rbd9", "pvc-elsewhere"}},
		},
		{
			name: "paths that look alike",
			mounts: `580 60 252:0 / /var/lib/kubelet2/pods/x/volumes/kubernetes.io~csi/pvc-a/mount rw - ext4 /dev/rbd0 rw
581 60 252:0 / /backup/var/lib/kubelet/pods/x/volumes/kubernetes.io~csi/pvc-a/mount rw - ext4 /dev/rbd0 rw
582 60 252:0 / /var/lib/kubelet/pods/x/volumes/kubernetes.io~csi rw - ext4 /dev/rbd0 rw
583 60 252:0 / /var/lib/kubelet/pods/x/volumes/csi/pvc-a rw - ext4 /dev/rbd0 rw
584 60 252:0 / /var/lib/kubelet/plugins/kubernetes.io/csi rw - ext4 /dev/rbd0 rw
585 60 252:0 / /var/lib/kubelet/plugins_registry/kubernetes.io/csi/x rw - ext4 /dev/rbd0 rw
`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Default()
			c.MountInfo = filepath.Join(t.TempDir(), "mountinfo")
			if tt.roots != nil {
				c.KubeletRoots = tt.roots
			}
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(c.MountInfo, []byte(host+tt.mounts), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := Inventory(c)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("inventory (-want +got):\n%s", d)
			}
		})
	}
}

// What cannot be read is not Clean.
func TestInventoryFailsClosed(t *testing.T) {
	for name, text := range map[string]string{
		"too few fields": "22 1 8:2 / / rw\n",
		"no numbers":     strings.Replace(host, "22 1 8:2", "a b c:d", 1),
		"no source":      "22 1 8:2 / / rw,relatime shared:1 shared:2 - ext4\n",
	} {
		c := Default()
		c.MountInfo = filepath.Join(t.TempDir(), "mountinfo")
		if err := os.WriteFile(c.MountInfo, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Inventory(c); err == nil {
			t.Errorf("%s: Inventory() = %v, want an error", name, got)
		}
	}
	c := Default()
	c.MountInfo = filepath.Join(t.TempDir(), "nothing")
	if got, err := Inventory(c); err == nil {
		t.Errorf("no file: Inventory() = %v, want an error", got)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]Config{
		"no file":       Default(),
		"no root":       {MountInfo: "/x"},
		"relative root": {MountInfo: "/x", KubeletRoots: []string{"kubelet"}},
		"unclean root":  {MountInfo: "/x", KubeletRoots: []string{"/var/lib/kubelet/"}},
		"the root":      {MountInfo: "/x", KubeletRoots: []string{"/"}},
	} {
		if c.Validate() == nil {
			t.Errorf("%s: Validate() accepts %+v", name, c)
		}
	}
}

func FuzzInventory(f *testing.F) {
	f.Add([]byte(host))
	f.Add([]byte("1 2 3:4 / " + pods + "/volumes/kubernetes.io~csi/p\\040/mount rw - ext4 \\057dev\\057x rw\n"))
	f.Add([]byte("1 2 0:6 / /var/lib/kubelet/plugins/kubernetes.io/csi/volumeDevices rw - devtmpfs udev rw\n"))
	path := filepath.Join(f.TempDir(), "mountinfo")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c := Default()
		c.MountInfo = path
		devices, err := Inventory(c)
		if err != nil {
			return
		}
		for _, d := range devices {
			if d.Path == "" {
				t.Errorf("device without a path: %+v", d)
			}
		}
	})
}
