package attached

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/agent/teardown"
)

// An apiServer answers by path, with the parameters that matter behind it.
type apiServer struct {
	objects map[string]string
	fails   string // what the path of a failing question begins with

	mu    sync.Mutex
	asked []string
}

func (s *apiServer) Get(_ context.Context, path string, query map[string]string, into any) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range []string{"fieldSelector", "continue"} {
		if query[name] != "" {
			path += "?" + query[name]
		}
	}
	s.asked = append(s.asked, path)
	if s.fails != "" && strings.HasPrefix(path, s.fails) {
		return false, errors.New("no answer")
	}
	text, ok := s.objects[path]
	if !ok {
		return false, nil
	}
	return true, json.Unmarshal([]byte(text), into)
}

const (
	nodePath = "/api/v1/nodes/n1"
	podsPath = "/api/v1/pods?spec.nodeName=n1"
	pvs      = "/api/v1/persistentvolumes"
	drivers  = "/apis/storage.k8s.io/v1/csidrivers/"
	vas      = "/apis/storage.k8s.io/v1/volumeattachments/"
	csi      = "d.example"
)

// server returns an API server with the node n1, and one pod that uses a claim.
func server() *apiServer {
	return &apiServer{objects: map[string]string{
		nodePath:      `{"metadata":{"name":"n1"},"status":{"volumesAttached":[{"name":"kubernetes.io/csi/d.example^h-b"},{"name":"kubernetes.io/iscsi/10.0.0.1:3260:iqn.a:3"}]}}`,
		podsPath:      `{"items":[` + podOf(``) + `]}`,
		pvs + "/pv-a": pvOf("pv-a", "data-db-0", `"csi":{"driver":"d.example","volumeHandle":"h-a"}`),
		drivers + csi: `{"spec":{}}`,
		vas + attachmentName(teardown.Handle{Driver: csi, Handle: "h-a"}, "n1"): vaOf(""),
	}}
}

func podOf(more string) string {
	return fmt.Sprintf(`{"metadata":{"namespace":"prod","name":"db-0","uid":"uid-1"%s},"spec":{"nodeName":"n1","volumes":[{"name":"data","persistentVolumeClaim":{"claimName":"data-db-0"}}]}}`, more)
}

func pvOf(name, claim, source string) string {
	return fmt.Sprintf(`{"metadata":{"name":%q},"spec":{"claimRef":{"namespace":"prod","name":%q},%s}}`, name, claim, source)
}

// vaFor is a VolumeAttachment of a PersistentVolume.
func vaFor(pv string) string {
	return strings.Replace(vaOf(""), `"nodeName":"n1"`, `"nodeName":"n1","source":{"persistentVolumeName":"`+pv+`"}`, 1)
}

// retain is what lets a pod outlast a fence, in its metadata.
const retain = `,"annotations":{"picket.dev/on-fence":"retain"}`

// fencedAt is the node with nothing attached, in quarantine since then.
func fencedAt(when string) string {
	return `{"metadata":{"name":"n1"},"spec":{"taints":[{"key":"picket.dev/fenced","value":"b1","effect":"NoExecute","timeAdded":"` + when + `"}]}}`
}

func vaOf(more string) string {
	return fmt.Sprintf(`{"metadata":{"creationTimestamp":"2026-01-01T00:00:00Z"%s},"spec":{"attacher":"d.example","nodeName":"n1"},"status":{"attached":true}}`, more)
}

// host is an inventory with pv-a staged and published.
func host() teardown.Inventory {
	return teardown.Inventory{
		Roots: []string{"/var/lib/kubelet"},
		Volumes: []teardown.Volume{{
			File: "vol_data.json", Dir: "/var/lib/kubelet/pods/uid-1/volumes/kubernetes.io~csi/pv-a", Driver: csi, Handle: "h-a", PV: "pv-a",
		}},
	}
}

// The volumes of a healthy node, and of one that came back.
func TestRead(t *testing.T) {
	heldA, heldB := "VolumeAttachment "+attachmentName(teardown.Handle{Driver: csi, Handle: "h-a"}, "n1"), "VolumeAttachment "+attachmentName(teardown.Handle{Driver: csi, Handle: "h-b"}, "n1")
	attachedA := teardown.Attachment{PV: "pv-a", Claim: "prod/data-db-0", Driver: csi, Handle: "h-a", Gated: true, Attached: true, Held: heldA, Wanted: true}
	onlyNode := teardown.Attachment{Driver: csi, Handle: "h-b", Gated: true, Held: volumesAttached}
	detached := func(a *teardown.Attachment) { a.Attached, a.Held = false, "" }
	detaching := func(a *teardown.Attachment) { a.Attached = false }
	again := func(a *teardown.Attachment) { a.Again = true }
	idle := func(a *teardown.Attachment) { a.Wanted = false }
	change := func(a teardown.Attachment, by ...func(*teardown.Attachment)) teardown.Attachment {
		for _, f := range by {
			f(&a)
		}
		return a
	}
	vaA := vas + attachmentName(teardown.Handle{Driver: csi, Handle: "h-a"}, "n1")
	vaB := vas + attachmentName(teardown.Handle{Driver: csi, Handle: "h-b"}, "n1")
	later, same := Fence{Boot: "b1"}, Fence{Boot: "b1", Same: true}
	tests := []struct {
		name    string
		fence   Fence
		server  func(s *apiServer)
		volumes []teardown.Attachment
		pods    []string
		leaving []string
		moving  bool
	}{
		{"attached", Fence{}, func(*apiServer) {}, []teardown.Attachment{onlyNode, attachedA}, []string{"uid-1"}, nil, false},
		{"detached", later, func(s *apiServer) { delete(s.objects, vaA) },
			[]teardown.Attachment{onlyNode, change(attachedA, detached)}, []string{"uid-1"}, nil, false},
		{"being detached", later, func(s *apiServer) {
			s.objects[vaA] = vaOf(`,"deletionTimestamp":"2026-01-02T00:00:00Z"`)
		}, []teardown.Attachment{onlyNode, change(attachedA, detaching)}, []string{"uid-1"}, nil, false},
		{"being attached", later, func(s *apiServer) {
			s.objects[vaA] = strings.Replace(s.objects[vaA], `"attached":true`, `"attached":false`, 1)
		}, []teardown.Attachment{onlyNode, change(attachedA, detaching)}, []string{"uid-1"}, nil, false},
		{"attached to the Node of another name", later, func(s *apiServer) { s.objects[vaA] = strings.Replace(s.objects[vaA], "n1", "n2", 1) },
			[]teardown.Attachment{onlyNode, change(attachedA, detached)}, []string{"uid-1"}, nil, false},
		{"attached by another driver", later, func(s *apiServer) { s.objects[vaA] = strings.Replace(s.objects[vaA], csi, "e.example", 1) },
			[]teardown.Attachment{onlyNode, change(attachedA, detached)}, []string{"uid-1"}, nil, false},
		{"what only the Node names is attached, too", later, func(s *apiServer) { s.objects[vaB] = vaOf("") },
			[]teardown.Attachment{change(onlyNode, func(a *teardown.Attachment) { a.Attached, a.Held = true, heldB }), attachedA}, []string{"uid-1"}, nil, false},
		{"its VolumeAttachment says whose it is", later, func(s *apiServer) {
			s.objects[vaB] = vaFor("pv-b")
			s.objects[pvs+"/pv-b"] = pvOf("pv-b", "data-db-0", `"csi":{"driver":"d.example","volumeHandle":"h-b"}`)
		}, []teardown.Attachment{attachedA, change(attachedA, func(a *teardown.Attachment) { a.PV, a.Handle, a.Held = "pv-b", "h-b", heldB })}, []string{"uid-1"}, nil, false},
		{"its VolumeAttachment is of before a volume of that name", later, func(s *apiServer) {
			s.objects[vaB] = vaFor("pv-b")
			s.objects[pvs+"/pv-b"] = pvOf("pv-b", "data-db-0", `"csi":{"driver":"d.example","volumeHandle":"h-new"}`)
		}, []teardown.Attachment{change(onlyNode, func(a *teardown.Attachment) { a.Attached, a.Held = true, heldB }), attachedA}, []string{"uid-1"}, nil, false},
		{"a VolumeAttachment of a pod's own volume", later, func(s *apiServer) {
			s.objects[vaB] = strings.Replace(vaFor(""), `"persistentVolumeName":""`, `"inlineVolumeSpec":{}`, 1)
		}, []teardown.Attachment{change(onlyNode, func(a *teardown.Attachment) { a.Attached, a.Held = true, "" }), attachedA}, []string{"uid-1"}, nil, false},
		{"a driver that attaches nothing", later, func(s *apiServer) { s.objects[drivers+csi] = `{"spec":{"attachRequired":false}}` },
			[]teardown.Attachment{change(onlyNode, func(a *teardown.Attachment) { a.Gated = false }),
				change(attachedA, detached, func(a *teardown.Attachment) { a.Gated = false })}, []string{"uid-1"}, nil, false},
		{"a driver without a CSIDriver attaches", later, func(s *apiServer) { delete(s.objects, drivers+csi) },
			[]teardown.Attachment{onlyNode, attachedA}, []string{"uid-1"}, nil, false},
		{"a PersistentVolume that is deleted", later, func(s *apiServer) { delete(s.objects, pvs+"/pv-a") },
			[]teardown.Attachment{{Driver: csi, Handle: "h-a", Gated: true, Attached: true, Held: heldA}, onlyNode}, []string{"uid-1"}, nil, false},
		{"still moving", later, func(s *apiServer) {
			s.objects[nodePath] = `{"metadata":{"name":"n1"},"spec":{"taints":[{"key":"node.kubernetes.io/out-of-service","effect":"NoExecute"}]}}`
		}, []teardown.Attachment{attachedA}, []string{"uid-1"}, nil, true},
		{"this boot was fenced: a pod that no fence leaves alone", same, func(*apiServer) {},
			[]teardown.Attachment{change(onlyNode, again), change(attachedA, again)}, []string{"uid-1"}, nil, false},
		{"this boot was fenced: a retained pod keeps what it has", same, func(s *apiServer) {
			s.objects[podsPath] = `{"items":[` + podOf(retain) + `]}`
		}, []teardown.Attachment{change(onlyNode, again), attachedA}, []string{"uid-1"}, nil, false},
		{"this boot was fenced: attached after that", same, func(s *apiServer) {
			s.objects[podsPath] = `{"items":[` + podOf(retain) + `]}`
			s.objects[nodePath] = fencedAt("2025-12-31T00:00:00Z")
		}, []teardown.Attachment{change(attachedA, again)}, []string{"uid-1"}, nil, false},
		{"this boot was fenced: attached in the same second", same, func(s *apiServer) {
			s.objects[podsPath] = `{"items":[` + podOf(retain) + `]}`
			s.objects[nodePath] = fencedAt("2026-01-01T00:00:00Z")
		}, []teardown.Attachment{change(attachedA, again)}, []string{"uid-1"}, nil, false},
		{"this boot was fenced: attached before that", same, func(s *apiServer) {
			s.objects[podsPath] = `{"items":[` + podOf(retain) + `]}`
			s.objects[nodePath] = fencedAt("2026-01-01T00:00:01Z")
		}, []teardown.Attachment{attachedA}, []string{"uid-1"}, nil, false},
		{"static and ended pods", later, func(s *apiServer) {
			s.objects[podsPath] = `{"items":[{"metadata":{"uid":"mirror","annotations":{"kubernetes.io/config.hash":"hash"}},"spec":{"nodeName":"n1"}},` +
				`{"metadata":{"uid":"done"},"spec":{"nodeName":"n1"},"status":{"phase":"Failed"}},{"metadata":{"uid":"going","deletionTimestamp":"2026-01-02T00:00:00Z"},"spec":{"nodeName":"n1"}},` +
				`{"metadata":{"uid":"elsewhere"},"spec":{"nodeName":"n2"}}]}`
		}, []teardown.Attachment{onlyNode, change(attachedA, idle)}, []string{"hash", "mirror"}, []string{"done", "going"}, false},
		{"a pod that is to go has no use for its claim", later, func(s *apiServer) {
			s.objects[podsPath] = `{"items":[` + podOf(`,"deletionTimestamp":"2026-01-02T00:00:00Z"`) + `]}`
		}, []teardown.Attachment{onlyNode, change(attachedA, idle)}, nil, []string{"uid-1"}, false},
		{"nor has one that has ended", later, func(s *apiServer) {
			s.objects[podsPath] = strings.Replace(s.objects[podsPath], `"spec"`, `"status":{"phase":"Succeeded"},"spec"`, 1)
		}, []teardown.Attachment{onlyNode, change(attachedA, idle)}, nil, []string{"uid-1"}, false},
		{"nor one that another node runs", later, func(s *apiServer) {
			s.objects[podsPath] = strings.Replace(s.objects[podsPath], `"n1"`, `"n2"`, 1)
		}, []teardown.Attachment{onlyNode, change(attachedA, idle)}, nil, nil, false},
		{"this boot was fenced: a pod that is to go is gone", same, func(s *apiServer) {
			s.objects[podsPath] = `{"items":[{"metadata":{"uid":"going","deletionTimestamp":"2026-01-02T00:00:00Z"},"spec":{"nodeName":"n1"}}]}`
		}, []teardown.Attachment{change(onlyNode, again), change(attachedA, idle, again)}, nil, []string{"going"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := server()
			tt.server(s)
			got := NewReader("n1", s).Read(t.Context(), host(), tt.fence)
			want := teardown.Attachments{Known: true, Volumes: tt.volumes, Pods: tt.pods, Leaving: tt.leaving}
			if d := cmp.Diff(want, got.Attachments); d != "" || got.Moving != tt.moving {
				t.Errorf("moving %t, attachments (-want +got):\n%s", got.Moving, d)
			}
		})
	}
}

// Volumes without a CSI driver: in-tree ones by their name among the Node's, with
// the identity by which a device is found.
func TestReadInTree(t *testing.T) {
	s := server()
	inv := host()
	inv.Volumes[0].PV, inv.Volumes[0].Driver, inv.Volumes[0].Handle = "pv-tree", "", ""
	s.objects[pvs+"/pv-tree"] = pvOf("pv-tree", "c", `"iscsi":{"targetPortal":"10.0.0.1:3260","iqn":"iqn.a","lun":3}`)
	inv.Volumes = append(inv.Volumes, teardown.Volume{File: "f", PV: "pv-nfs"})
	s.objects[pvs+"/pv-nfs"] = pvOf("pv-nfs", "data-db-0", `"nfs":{}`)
	const iqnB = `"spec":{"nodeName":"n1","volumes":[{"name":"data","iscsi":{"targetPortal":"10.0.0.1:3260","iqn":"iqn.b","lun":0}}]}`
	s.objects[podsPath] = `{"items":[{"metadata":{"uid":"v"},"status":{"phase":"Failed"},` + iqnB + `},{"metadata":{"uid":"u"},` + iqnB + `},` +
		podOf("") + `]}`
	got := NewReader("n1", s).Read(t.Context(), inv, Fence{})
	want := []teardown.Attachment{
		{Driver: csi, Handle: "h-b", Gated: true, Held: volumesAttached},
		{Driver: "kubernetes.io/iscsi", Handle: "kubernetes.io/iscsi/10.0.0.1:3260:iqn.b:0", Gated: true, Wanted: true, Identity: teardown.Identity{Target: "iqn.b"}},
		{PV: "pv-nfs", Claim: "prod/data-db-0", Wanted: true},
		{PV: "pv-tree", Claim: "prod/c", Gated: true, Attached: true, Held: volumesAttached, Identity: teardown.Identity{Target: "iqn.a", LUN: 3}},
	}
	if d := cmp.Diff(want, got.Volumes); d != "" {
		t.Errorf("volumes (-want +got):\n%s", d)
	}
}

// All PersistentVolumes are searched only where a device is unexplained, page by
// page, and only those that concern the host are kept.
func TestReadSearches(t *testing.T) {
	s := server()
	s.objects[pvs] = `{"metadata":{"continue":"next"},"items":[` + pvOf("other", "c", `"csi":{"driver":"x","volumeHandle":"h","volumeAttributes":{"iqn":"iqn.z","lun":"1"}}`) + `]}`
	s.objects[pvs+"?next"] = `{"items":[` + pvOf("pv-moved", "c", `"csi":{"driver":"d.example","volumeHandle":"h-m","volumeAttributes":{"iqn":"iqn.a","lun":"1"}}`) + `,` +
		pvOf("pv-image", "c", `"csi":{"driver":"rook.rbd.csi.ceph.com","volumeHandle":"h-i","volumeAttributes":{"pool":"p","imageName":"i"}}`) + `]}`
	inv := host()
	inv.Sessions = []teardown.Session{{ID: "1", Target: "iqn.a", Portal: "10.0.0.1:3260"}}
	inv.Devices = []teardown.Device{
		{Number: teardown.Number{Major: 8}, Name: "sda", Kind: teardown.ISCSI, Session: "1", LUN: 1, WWID: "w"},
		{Number: teardown.Number{Major: 252}, Name: "rbd0", Kind: teardown.RBD, Image: teardown.Image{Cluster: "f", Pool: "p", Name: "i"}},
	}
	var names []string
	for _, v := range NewReader("n1", s).Read(t.Context(), inv, Fence{Boot: "b1"}).Volumes {
		names = append(names, v.PV)
	}
	if d := cmp.Diff([]string{"", "pv-a", "pv-image", "pv-moved"}, names); d != "" {
		t.Error(d)
	}
	s.asked = nil
	NewReader("n1", s).Read(t.Context(), host(), Fence{})
	for _, path := range s.asked {
		if path == pvs {
			t.Error("all PersistentVolumes were listed without a reason")
		}
	}
}

// (c) What could not be asked leaves everything unknown, and nothing stale.
func TestReadFailsClosed(t *testing.T) {
	for _, path := range []string{nodePath, "/api/v1/pods", pvs, drivers, vas} {
		s := server()
		s.fails = path
		got := NewReader("n1", s).Read(t.Context(), host(), Fence{Boot: "b1"})
		if got.Known || got.Volumes != nil || got.Pods != nil || got.Why != "no answer" {
			t.Errorf("%s: %+v", path, got)
		}
		p := teardown.Make(host(), got.Attachments, teardown.Aim{})
		if p.State != teardown.Blocked || len(p.Steps) > 0 {
			t.Errorf("%s: the plan is %v with %d steps", path, p.State, len(p.Steps))
		}
	}
	s := server()
	s.objects[nodePath] = `{"metadata":{"name":"n2"}}`
	if got := NewReader("n1", s).Read(t.Context(), host(), Fence{}); got.Known {
		t.Error("another Node was taken for the own one")
	}
	s = server()
	s.objects[pvs] = `{"metadata":{"continue":"x"}}`
	s.objects[pvs+"?x"] = s.objects[pvs]
	inv := host()
	inv.Devices = []teardown.Device{{Number: teardown.Number{Major: 252}, Name: "rbd0", Kind: teardown.RBD, Image: teardown.Image{Pool: "p", Name: "i"}}}
	if got := NewReader("n1", s).Read(t.Context(), inv, Fence{}); got.Known || !strings.Contains(got.Why, "no end") {
		t.Errorf("a list without an end: %+v", got)
	}
}
