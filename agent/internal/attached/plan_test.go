package attached

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/agent/teardown"
)

const (
	stagedA    = "/var/lib/kubelet/plugins/kubernetes.io/csi/d.example/0a1b"
	publishedA = "/var/lib/kubelet/pods/uid-1/volumes/kubernetes.io~csi/pv-a"
)

// plain is a host without volumes.
func plain() teardown.Inventory {
	return teardown.Inventory{
		Roots: []string{"/var/lib/kubelet"}, ClientsKnown: true,
		Namespaces: []teardown.Namespace{{ID: 1, PID: 1, Host: true, Others: true}},
	}
}

// ceph is a host with h-a of CephFS staged, and published for a pod or not. What
// the kubelet has written down when it stages names no PersistentVolume.
func ceph(published bool) teardown.Inventory {
	inv := plain()
	mount := func(point string) {
		inv.Mounts = append(inv.Mounts, teardown.Mount{Namespace: 1, ID: 10 + len(inv.Mounts), Device: teardown.Number{Minor: 77}, Root: "/", FS: "ceph", Point: point})
	}
	inv.Volumes = []teardown.Volume{{File: stagedA + "/vol_data.json", Dir: stagedA, Driver: csi, Handle: "h-a"}}
	mount(stagedA + "/globalmount")
	if published {
		inv.Volumes = append(inv.Volumes, teardown.Volume{File: publishedA + "/vol_data.json", Dir: publishedA, Driver: csi, Handle: "h-a", PV: "pv-a"})
		mount(publishedA + "/mount")
	}
	return inv
}

// A boot after a fenced one. A pod that a fence leaves alone, with a volume that
// nothing attaches, starts or ends: no look in between makes the node reset itself.
func TestALaterBootIsNotResetForAPodThatStartsOrEnds(t *testing.T) {
	tests := []struct {
		name string
		inv  teardown.Inventory
		pods func(pods string) string
		want teardown.State
	}{
		{"running", ceph(true), func(p string) string { return p }, teardown.Clean},
		{"staged, not yet published", ceph(false), func(p string) string { return p }, teardown.Clean},
		{"Succeeded, not yet unmounted", ceph(true), func(p string) string { return strings.Replace(p, `"spec"`, `"status":{"phase":"Succeeded"},"spec"`, 1) }, teardown.Clean},
		{"Succeeded, only staged any more", ceph(false), func(p string) string { return strings.Replace(p, `"spec"`, `"status":{"phase":"Succeeded"},"spec"`, 1) }, teardown.Blocked},
		{"to be deleted, not yet unmounted", ceph(true), func(p string) string {
			return strings.Replace(p, `"uid"`, `"deletionTimestamp":"2026-01-02T00:00:00Z","uid"`, 1)
		}, teardown.Clean},
		{"deleted between the look and the answer", ceph(true), func(string) string { return `{"items":[]}` }, teardown.Blocked},
	}
	for _, tt := range tests {
		for _, how := range []teardown.Rejoin{teardown.RejoinReset, teardown.RejoinClean} {
			s := server()
			s.objects[drivers+csi] = `{"spec":{"attachRequired":false}}`
			s.objects[pvs] = `{"items":[` + s.objects[pvs+"/pv-a"] + `]}`
			s.objects[nodePath] = `{"metadata":{"name":"n1"}}`
			s.objects[podsPath] = tt.pods(s.objects[podsPath])
			a := NewReader("n1", s).Read(t.Context(), tt.inv, Fence{Boot: "b1"})
			p := teardown.Make(tt.inv, a.Attachments, teardown.Aim{Rejoin: how})
			if p.State != tt.want || !a.Known {
				t.Errorf("%s, %v: %v (%s %v), want %v", tt.name, how, p.State, p.Why, p.Blockers, tt.want)
			}
			// The boot that was fenced gets no such excuse.
			a = NewReader("n1", s).Read(t.Context(), tt.inv, Fence{Boot: "b1", Same: true})
			p = teardown.Make(tt.inv, a.Attachments, teardown.Aim{SameBoot: true, Rejoin: teardown.RejoinClean})
			if want := tt.name == "running"; (p.State == teardown.Clean) != want {
				t.Errorf("%s in the fenced boot: %v (%s)", tt.name, p.State, p.Why)
			}
		}
	}
}

// All PersistentVolumes are listed for a staged volume only where that can tell whose
// it is: in a later boot than the fenced one, for a claim that is not accounted for,
// of a driver that attaches nothing.
func TestReadSearchesForAStagedVolume(t *testing.T) {
	tests := []struct {
		name   string
		inv    teardown.Inventory
		fence  Fence
		change func(s *apiServer)
		want   bool
	}{
		{"staged", ceph(false), Fence{Boot: "b1"}, func(*apiServer) {}, true},
		{"published", ceph(true), Fence{Boot: "b1"}, func(*apiServer) {}, false},
		{"no pod", ceph(false), Fence{Boot: "b1"}, func(s *apiServer) { s.objects[podsPath] = `{"items":[]}` }, false},
		{"attached", ceph(false), Fence{Boot: "b1"}, func(s *apiServer) { delete(s.objects, drivers+csi) }, false},
		{"the fenced boot", ceph(false), Fence{Boot: "b1", Same: true}, func(*apiServer) {}, false},
		{"no fence", ceph(false), Fence{}, func(*apiServer) {}, false},
	}
	for _, tt := range tests {
		s := server()
		s.objects[drivers+csi] = `{"spec":{"attachRequired":false}}`
		s.objects[pvs] = `{"items":[` + pvOf("pv-z", "z", `"nfs":{}`) + `,` + s.objects[pvs+"/pv-a"] + `]}`
		tt.change(s)
		var names []string
		for _, v := range NewReader("n1", s).Read(t.Context(), tt.inv, tt.fence).Volumes {
			names = append(names, v.PV)
		}
		if got := slices.Contains(s.asked, pvs); got != tt.want || slices.Contains(names, "pv-z") {
			t.Errorf("%s: listed %t, want %t: %v", tt.name, got, tt.want, names)
		}
	}
}

// C6, C8: the out-of-service taint is gone early (17), or with the Node (22), and what
// was attached for the fenced boot's pods is not detached yet. The node is not Clean
// before it is, and says what it waits for; it is not where a pod here has a use for it.
func TestC6_NotCleanBeforeTheVolumesHaveMoved(t *testing.T) {
	unit := plain()
	unit.Sessions = []teardown.Session{{ID: "1", Target: "iqn.a", Portal: "10.0.0.1:3260"}}
	unit.Devices = []teardown.Device{{Number: teardown.Number{Major: 8, Minor: 16}, Name: "sdb", Kind: teardown.ISCSI, Session: "1", LUN: 3, WWID: "w"}}
	unit.Volumes = []teardown.Volume{{File: "f", Driver: csi, Handle: "h-a", PV: "pv-a", Identity: teardown.Identity{WWID: "w"}}}
	none := func(s *apiServer) { s.objects[podsPath] = `{"items":[]}` }
	handleB := teardown.Handle{Driver: csi, Handle: "h-b"}
	tests := []struct {
		name   string
		inv    teardown.Inventory
		server func(s *apiServer)
		state  teardown.State
		blocks []string
	}{
		{"its pods were deleted", unit, func(s *apiServer) {
			none(s)
			s.objects[nodePath] = `{"metadata":{"name":"n1"}}`
		}, teardown.Blocked, []string{"pv-a"}},
		{"nothing of it is on the host", plain(), func(s *apiServer) {
			none(s)
			s.objects[vas+attachmentName(handleB, "n1")] = vaFor("pv-b")
			s.objects[pvs+"/pv-b"] = pvOf("pv-b", "data-db-1", `"csi":{"driver":"d.example","volumeHandle":"h-b"}`)
		}, teardown.Blocked, []string{"pv-b"}},
		{"only the Node lists it any more", plain(), none, teardown.Blocked, []string{"h-b"}},
		{"a pod that is bound here, and has not begun", plain(), func(s *apiServer) {
			s.objects[podsPath] = strings.Replace(s.objects[podsPath], `"spec"`, `"status":{"phase":"Pending"},"spec"`, 1)
			s.objects[vas+attachmentName(handleB, "n1")] = vaFor("pv-b")
			s.objects[pvs+"/pv-b"] = pvOf("pv-b", "data-db-0", `"csi":{"driver":"d.example","volumeHandle":"h-b"}`)
		}, teardown.Clean, nil},
		{"a volume of before CSI, whose name is not of CSI's", plain(), func(s *apiServer) {
			none(s)
			s.objects[vas+attachmentName(handleB, "n1")] = vaFor("pv-b")
			s.objects[pvs+"/pv-b"] = pvOf("pv-b", "data-db-1", `"awsElasticBlockStore":{}`)
		}, teardown.Blocked, []string{"pv-b"}},
		{"all is detached", unit, func(s *apiServer) {
			none(s)
			s.objects[nodePath] = `{"metadata":{"name":"n1"}}`
			delete(s.objects, vas+attachmentName(teardown.Handle{Driver: csi, Handle: "h-a"}, "n1"))
		}, teardown.Work, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := server()
			tt.server(s)
			a := NewReader("n1", s).Read(t.Context(), tt.inv, Fence{Boot: "b1"})
			p := teardown.Make(tt.inv, a.Attachments, teardown.Aim{})
			var blocks []string
			for _, b := range p.Blockers {
				blocks = append(blocks, b.Volume)
			}
			if d := cmp.Diff(tt.blocks, blocks); d != "" || p.State != tt.state || !a.Known {
				t.Errorf("%v (%s), want %v; blockers (-want +got):\n%s", p.State, p.Why, tt.state, d)
			}
		})
	}
}

// In a boot after a fenced one the kubelet has logged in for an in-tree iSCSI volume
// that is attached here, and has not mounted it yet: it is left alone.
func TestAnInTreeVolumeThatIsToBeMounted(t *testing.T) {
	const dir = "/var/lib/kubelet/plugins/kubernetes.io/iscsi/iface-default/10.0.0.1:3260-iqn.a-lun-3"
	s := server()
	s.objects[nodePath] = `{"metadata":{"name":"n1"},"status":{"volumesAttached":[{"name":"kubernetes.io/iscsi/10.0.0.1:3260:iqn.a:3"}]}}`
	s.objects[pvs+"/pv-i"] = pvOf("pv-i", "data-db-0", `"iscsi":{"targetPortal":"10.0.0.1:3260","iqn":"iqn.a","lun":3}`)
	s.objects[pvs] = `{"items":[` + s.objects[pvs+"/pv-i"] + `]}`
	bare, placed, other := plain(), plain(), plain()
	for _, inv := range []*teardown.Inventory{&bare, &placed, &other} {
		inv.Sessions = []teardown.Session{{ID: "1", Target: "iqn.a", Portal: "10.0.0.1:3260"}}
		inv.Devices = []teardown.Device{{Number: teardown.Number{Major: 8, Minor: 16}, Name: "sdb", Kind: teardown.ISCSI, Session: "1", LUN: 3, WWID: "w"}}
	}
	placed.Volumes = []teardown.Volume{{File: dir, Dir: dir, Identity: teardown.Identity{Target: "iqn.a", LUN: 3}}}
	other.Devices[0].LUN = 4
	other.Volumes = []teardown.Volume{{File: dir, Dir: dir, Identity: teardown.Identity{Target: "iqn.a", LUN: 4}}}
	for name, tt := range map[string]struct {
		inv  teardown.Inventory
		want teardown.State
	}{"found by its device": {bare, teardown.Clean}, "found by its directory": {placed, teardown.Clean}, "another unit": {other, teardown.Work}} {
		a := NewReader("n1", s).Read(t.Context(), tt.inv, Fence{Boot: "b1"})
		if p := teardown.Make(tt.inv, a.Attachments, teardown.Aim{}); p.State != tt.want {
			t.Errorf("%s: %v: %s %v", name, p.State, p.Why, p.Blockers)
		}
	}
	s.objects[podsPath] = `{"items":[]}`
	a := NewReader("n1", s).Read(t.Context(), bare, Fence{Boot: "b1"})
	if p := teardown.Make(bare, a.Attachments, teardown.Aim{}); p.State != teardown.Blocked || len(p.Blockers) != 1 || p.Blockers[0].Volume != "pv-i" {
		t.Errorf("without its pod: %v: %s %v", p.State, p.Why, p.Blockers)
	}
}

// A PersistentVolume that is Released keeps the name of the claim that it had. A claim
// that has the name by now is another, and is bound to another volume: its pod has a
// use for that one, and not for what is left of the first.
func TestAClaimOfTheSameName(t *testing.T) {
	image := func(pv, handle string, id int) (teardown.Device, teardown.Volume) {
		i := teardown.Image{Pool: "p", Name: handle}
		return teardown.Device{Number: teardown.Number{Major: 252, Minor: uint32(16 * id)}, Name: fmt.Sprintf("rbd%d", id), Kind: teardown.RBD, ID: id, Image: i},
			teardown.Volume{File: handle, Driver: csi, Handle: handle, PV: pv, Identity: teardown.Identity{Image: i}}
	}
	released := func(text string) string {
		return strings.Replace(text, `{"metadata"`, `{"status":{"phase":"Released"},"metadata"`, 1)
	}
	left, of := image("pv-old", "h-old", 0)
	began, staged := image("", "h-new", 1) // the kubelet has yet to write whose it is
	inv := plain()
	inv.Devices, inv.Volumes = []teardown.Device{left}, []teardown.Volume{of}
	both := plain()
	both.Devices, both.Volumes = []teardown.Device{left, began}, []teardown.Volume{of, staged}
	for name, tt := range map[string]struct {
		inv   teardown.Inventory
		phase func(string) string
		state teardown.State
		unmap []string // devices that go
	}{
		"bound":                           {inv, func(text string) string { return text }, teardown.Clean, nil},
		"released":                        {inv, released, teardown.Work, []string{"rbd0"}},
		"released, beside its new volume": {both, released, teardown.Work, []string{"rbd0"}},
	} {
		s := server()
		s.objects[nodePath], s.objects[drivers+csi] = `{"metadata":{"name":"n1"}}`, `{"spec":{"attachRequired":false}}`
		s.objects[pvs+"/pv-old"] = tt.phase(pvOf("pv-old", "data-db-0", `"csi":{"driver":"d.example","volumeHandle":"h-old"}`))
		s.objects[pvs] = `{"items":[` + s.objects[pvs+"/pv-old"] + `,` + pvOf("pv-new", "data-db-0", `"csi":{"driver":"d.example","volumeHandle":"h-new"}`) + `]}`
		a := NewReader("n1", s).Read(t.Context(), tt.inv, Fence{Boot: "b1"})
		p := teardown.Make(tt.inv, a.Attachments, teardown.Aim{})
		var unmap []string
		for _, step := range p.Steps {
			if step.Op == teardown.UnmapRBD {
				unmap = append(unmap, step.Name)
			}
		}
		if d := cmp.Diff(tt.unmap, unmap); d != "" || p.State != tt.state {
			t.Errorf("%s: %v (%s %v), want %v; what goes (-want +got):\n%s", name, p.State, p.Why, p.Blockers, tt.state, d)
		}
	}
	// In the fenced boot a pod that a fence leaves alone keeps what it has, and not
	// what had its claim's name before.
	s := server()
	s.objects[podsPath] = `{"items":[` + podOf(retain) + `]}`
	for _, phase := range []func(string) string{func(text string) string { return text }, released} {
		s.objects[pvs+"/pv-a"] = phase(s.objects[pvs+"/pv-a"])
		a := NewReader("n1", s).Read(t.Context(), host(), Fence{Boot: "b1", Same: true})
		i := slices.IndexFunc(a.Volumes, func(v teardown.Attachment) bool { return v.PV == "pv-a" })
		if again := strings.Contains(s.objects[pvs+"/pv-a"], "Released"); a.Volumes[i].Again != again || a.Volumes[i].Wanted == again {
			t.Errorf("released %t: %+v", again, a.Volumes[i])
		}
	}
}

// In the fenced boot a pod that tolerates the fence's taint for a while has gone with the
// others (C6): one that is here again has nothing from before. Of several tolerations
// that match, Kubernetes goes by the first.
func TestAPodThatToleratesTheFenceForAWhile(t *testing.T) {
	const forEver, awhile = `{"operator":"Exists"}`, `{"operator":"Exists","tolerationSeconds":60}`
	for tolerations, again := range map[string]bool{
		forEver: false, awhile: true, awhile + "," + forEver: true, forEver + "," + awhile: false, `{"key":"x","operator":"Exists"}`: true,
		`{"key":"node.kubernetes.io/out-of-service","value":"nodeshutdown","effect":"NoExecute"}`: false,
		`{"key":"node.kubernetes.io/out-of-service","value":"other"}`:                             true,
	} {
		s := server()
		s.objects[podsPath] = `{"items":[` + strings.Replace(podOf(""), `"spec":{`, `"spec":{"tolerations":[`+tolerations+`],`, 1) + `]}`
		a := NewReader("n1", s).Read(t.Context(), host(), Fence{Boot: "b1", Same: true})
		i := slices.IndexFunc(a.Volumes, func(v teardown.Attachment) bool { return v.PV == "pv-a" })
		if !a.Known || i < 0 || a.Volumes[i].Again != again {
			t.Errorf("%s: %+v", tolerations, a.Volumes)
		}
	}
}
