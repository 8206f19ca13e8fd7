package cli

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

// A looker is an agent that was asked for devices.
type looker struct {
	peerv1.UnimplementedAdminServer
	reply *peerv1.DevicesReply
}

func (l looker) Devices(context.Context, *peerv1.DevicesRequest) (*peerv1.DevicesReply, error) {
	if l.reply == nil {
		return nil, status.Error(codes.DeadlineExceeded, "somebody else asks")
	}
	return l.reply, nil
}

const (
	podsDir = "/var/lib/kubelet/pods/8f14e45f-ceea-467f-9a5b-7c6e2f0f6d11/volumes/kubernetes.io~csi/"
	csiDir  = "/var/lib/kubelet/plugins/kubernetes.io/csi/rbd.csi.ceph.com/0d1c3f9b6a2e4c5d8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e/globalmount"
)

// attachment is what holds the database's volume for attached.
const attachment = "VolumeAttachment csi-d80c4e61d5ab39d4ed9ee8a1f0ee2d4b4b6d3f1c2a0e9b8c7d6e5f4a3b2c1d0e"

func mountItem(point, standing, volume, why string, steps ...int32) *peerv1.DeviceItem {
	return &peerv1.DeviceItem{Kind: "mount", Name: point, About: "ext4", Owner: "Kubernetes", Standing: standing, Volume: volume, Claim: "prod/data-db-0", Pods: []string{"prod/db-0"}, Attachment: attachment, Why: why, Steps: steps}
}

// inUse is the host of a database on rbd, with a disk of its own.
func inUse() *peerv1.DevicesReply {
	const why = "attached to this node"
	return &peerv1.DevicesReply{
		Node: "r1-node-1", BootId: "6a0f1d5e-8c5b-4b6e-9f57-0a4c1a3b2d10", Storage: "InUse", AttachedKnown: true,
		LookTook: ms(84), AskTook: ms(31), WorstLoopDelay: ms(2),
		Plan: "Clean", PlanWhy: "nothing is left of a volume that has moved", PlanStuck: "Reset",
		Steps: []*peerv1.TeardownStep{{Op: "Attest", Bound: ms(30000), Why: "the quarantine is lifted only on Clean (C8)"}},
		Items: []*peerv1.DeviceItem{
			{Kind: "rbd", Name: "rbd0", About: "replicapool/csi-vol-6a1f0c32-8c5b-11ee-9f57-0a4c1a3b2d10", Owner: "Kubernetes", Standing: "Rightful", Volume: "pvc-8f14e45f", Claim: "prod/data-db-0", Pods: []string{"prod/db-0"}, Attachment: attachment, Why: why, Items: []*peerv1.DeviceItem{
				mountItem(csiDir, "Rightful", "pvc-8f14e45f", why), mountItem(podsDir+"pvc-8f14e45f/mount", "Rightful", "pvc-8f14e45f", why),
			}},
			{Kind: "disk", Name: "vda", Owner: "Host", Standing: "Unclaimed", Why: "vda is a disk of the host", Items: []*peerv1.DeviceItem{
				{Kind: "partition", Name: "vda1", Owner: "Host", Standing: "Unclaimed", Why: "vda is a disk of the host"},
			}},
		},
	}
}

// comeBack is a node whose iSCSI sessions came back with multipath, for a volume
// that has moved; another unit of the same target stays.
func comeBack() *peerv1.DevicesReply {
	const moved, target = "not attached to this node", "iqn.2026-03.example:array-7"
	r := inUse()
	r.FencedBoot, r.Rejoin, r.Storage, r.StorageMessage = "0c9f7e6a-1b1d-4b43-8a5e-5a7c1d2e3f40", "Reset", "Dirty", "Logout for pvc-c9f0f895: the step is stuck after 20s: iscsiadm: no answer"
	multipath := func(again bool) *peerv1.DeviceItem {
		m := &peerv1.DeviceItem{Kind: "multipath", Name: "dm-0", About: "mpatha", Owner: "Kubernetes", Standing: "Stale", Volume: "pvc-c9f0f895", Claim: "prod/logs", Why: moved, Again: again, Steps: []int32{2}}
		return m
	}
	lun := func(name, about string, again bool) *peerv1.DeviceItem {
		return &peerv1.DeviceItem{Kind: "iscsi", Name: name, About: about, Owner: "Kubernetes", Standing: "Stale", Volume: "pvc-c9f0f895", Claim: "prod/logs", Why: moved, Steps: []int32{0}, Items: []*peerv1.DeviceItem{multipath(again)}}
	}
	r.Items = append([]*peerv1.DeviceItem{
		{Kind: "session", Name: target, About: "10.1.0.7:3260, session 1", Owner: "Kubernetes", Standing: "Rightful", Why: "not all that comes over it is torn down", Items: []*peerv1.DeviceItem{
			lun("sdb", "LUN 3", false),
			{Kind: "iscsi", Name: "sdc", About: "LUN 4", Owner: "Kubernetes", Standing: "Rightful", Volume: "pvc-45c48cce", Claim: "prod/data-db-1", Why: "attached to this node"},
		}},
		{Kind: "session", Name: target, About: "10.2.0.7:3260, session 2", Owner: "Kubernetes", Standing: "Stale", Why: "all that comes over it has moved", Items: []*peerv1.DeviceItem{lun("sdd", "LUN 3", true)}},
	}, r.Items...)
	r.Plan, r.PlanWhy = "Work", "something of a volume that has moved is left"
	step := func(op, target, why string, bound int) *peerv1.TeardownStep {
		return &peerv1.TeardownStep{Op: op, Target: target, Volume: "pvc-c9f0f895", Bound: ms(bound), Why: why}
	}
	r.Steps = []*peerv1.TeardownStep{
		step("Offline", "sdb", "cut first: unmounting, closing and killing write dirty pages back", 2000),
		step("Offline", "sdd", "cut first: unmounting, closing and killing write dirty pages back", 2000),
		step("FlushMultipath", "dm-0 (mpatha)", "nothing is above it any more", 5000),
		step("DeleteSCSI", "sdb", "only this unit has moved: the session serves others, and stays", 5000),
		step("Logout", "session 2 of "+target, "nothing else uses the session", 20000),
		step("Verify", "", "an exit code proves nothing: only a fresh inventory does", 5000),
	}
	r.Last = &peerv1.RejoinRun{
		Age: ms(42000), Took: ms(24300), State: "Blocked", Done: r.Steps[:3], Stuck: r.Steps[4], Error: "Logout for pvc-c9f0f895: the step is stuck after 20s", WorstLoopDelay: ms(3),
	}
	return r
}

// unknown is a node whose API is away, and which could not read something.
func unknown() *peerv1.DevicesReply {
	r := inUse()
	r.AttachedKnown, r.AttachedError = false, "read /api/v1/nodes/r1-node-1 at https://10.0.1.10:6443: context deadline exceeded"
	each := []*peerv1.DeviceItem{r.Items[0], r.Items[0].Items[0], r.Items[0].Items[1]}
	for _, i := range each {
		i.Attachment = ""
		i.Standing, i.Why, i.Claim, i.Pods = "Unknown", "what is attached to this node could not be read", "", []string{"8f14e45f-ceea-467f-9a5b-7c6e2f0f6d11"}
	}
	r.Unread = []*peerv1.Unread{{What: "mounts of namespace 4026532003", Why: "permission denied"}}
	r.Stuck = []*peerv1.StuckChild{{Pid: 4711, Work: "step", Age: ms(192000)}}
	r.Plan, r.PlanWhy, r.Steps = "Reset", "this boot was fenced and did not reset, and it cannot be proven clean: mounts of namespace 4026532003 could not be read", nil
	r.Blockers = []*peerv1.TeardownBlocker{
		{Why: "what is attached to this node could not be read"}, {Why: "mounts of namespace 4026532003 could not be read: permission denied"},
		{Volume: "pvc-8f14e45f", Device: "rbd0", Why: "part of it is rbd9, which belongs to no volume"},
	}
	return r
}

// cleaned is the very boot that was fenced, on its way to being clean.
func cleaned() *peerv1.DevicesReply {
	r := inUse()
	r.FencedBoot, r.Rejoin, r.Storage, r.StorageMessage = r.GetBootId(), "Clean", "Unknown", "looking for what is left of volumes that have moved"
	r.Last = &peerv1.RejoinRun{Age: ms(1700), SameBoot: true}
	r.Items = r.GetItems()[1:]
	return r
}

func TestDevicesScreens(t *testing.T) {
	for name, tt := range map[string]struct {
		reply *peerv1.DevicesReply
		code  int
	}{
		"in-use": {inUse(), 0}, "come-back": {comeBack(), exitDegraded}, "unknown": {unknown(), exitDegraded}, "cleaned": {cleaned(), exitDegraded},
	} {
		run := serve(t, looker{reply: tt.reply})
		for columns, width := range map[string]int{"80": 80, "120": 120} {
			for _, flag := range []string{"", "--plan"} {
				file := "devices" + strings.TrimPrefix(flag, "-") + "-" + name + "-" + columns
				t.Run(file, func(t *testing.T) {
					t.Setenv("COLUMNS", columns)
					out, code := call(t, strings.Fields("devices "+flag+" --run "+run)...)
					if code != tt.code {
						t.Errorf("exit code %d, want %d", code, tt.code)
					}
					shown, _, _ := strings.Cut(out, "\nError: ")
					fits(t, shown, width)
					golden(t, file, out)
				})
			}
		}
	}
}

func TestDevicesOutputs(t *testing.T) {
	for _, args := range []string{"devices -o wide", "devices --plan -o wide", "devices -o json", "devices --plan -o yaml"} {
		t.Run(args, func(t *testing.T) {
			out, code := call(t, append(strings.Fields(args), "--run", serve(t, looker{reply: comeBack()}))...)
			if code != exitDegraded {
				t.Errorf("exit code %d", code)
			}
			golden(t, "output-"+strings.NewReplacer(" --", "-", " -o ", "-o-").Replace(args), out)
		})
	}
}

// An agent that is busy with somebody else's question, and one that does not know
// the question.
func TestDevicesNotAnswered(t *testing.T) {
	for says, run := range map[string]string{
		"has not looked at everything": serve(t, looker{}),
		"of another version":           serve(t, agent{}),
		"no agent at":                  place(t),
	} {
		if out, code := call(t, "devices", "--run", run); code != exitFailed || !strings.Contains(out, says) {
			t.Errorf("exit code %d, %s; want %q", code, out, says)
		}
	}
}

// With the API away a real agent still shows what its host has, and says that what
// is attached is unknown: nothing is stale then.
func TestARealAgentShowsDevicesWhileTheAPIIsDown(t *testing.T) {
	h := newHost(t, "r1-node-1")
	h.start(t, "r2-node-1", "127.0.0.1:1", strings.Repeat("ab", 32))
	until(t, h.run, "an answer", func(r *peerv1.StatusReply) bool { return r.GetNode() == "r1-node-1" })
	out, code := call(t, "devices", "--plan", "--run", h.run)
	if code != exitDegraded {
		t.Errorf("exit code %d", code)
	}
	for _, says := range []string{"attached   unknown: read /api/v1/nodes/r1-node-1", "whether anything has moved is not known without the API", "it would be reset: it cannot be proven clean"} {
		if !strings.Contains(out, says) {
			t.Errorf("it does not say %q:\n%s", says, out)
		}
	}
	if strings.Contains(out, "Stale") {
		t.Errorf("something is stale:\n%s", out)
	}
}
