package block

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/picket-dev/picket/agent/internal/block/child"
)

// bigNode is a busy node: 100 devices, 500 mounts in the host's namespace and as
// many again in those of 100 pods, 500 threads, and metadata for 60 volumes.
func bigNode() tree {
	var mounts []string
	id := 100
	line := func(device int, point string) string {
		id++
		return fmt.Sprintf("%d 22 252:%d / %s rw,relatime shared:%d - ext4 /dev/rbd%d rw,stripe=16", id, device*16, point, id, device)
	}
	const volumes, pods = 60, 100
	for i := range 498 {
		mounts = append(mounts, line(i%volumes, fmt.Sprintf("%s/pods/%08d-0000-0000-0000-000000000000/volumes/kubernetes.io~csi/pvc-%d/mount", kubelet, i, i)))
	}
	tr := newTree(mounts...)
	for i := range volumes {
		tr.rbd(i, "replicapool", fmt.Sprintf("csi-vol-%d", i))
		dir := fmt.Sprintf("%s/plugins/kubernetes.io/csi/rbd.csi.ceph.com/%064d", kubelet, i)
		tr[dir+"/vol_data.json"] = fmt.Sprintf(`{"driverName":"rbd.csi.ceph.com","volumeHandle":"h-%d"}`, i)
		tr[dir+"/globalmount/image-meta.json"] = fmt.Sprintf(`{"pool":"replicapool","image":"csi-vol-%d"}`, i)
		tr[fmt.Sprintf("run/udev/data/b252:%d", i*16)] = strings.Repeat("E:ID_SOMETHING=value of it\n", 30)
	}
	var tables []table
	for i := range 38 - 10 {
		tr.dm(i, fmt.Sprintf("luks-%d", i), fmt.Sprintf("CRYPT-LUKS2-%d", i), fmt.Sprintf("rbd%d", i))
		tables = append(tables, table{Device: dev(253, uint32(i)), Targets: []string{"crypt"}})
	}
	tr.tables(tables...)
	tr.session(1, iqn, "192.0.2.10", "3260")
	for i := range 10 {
		tr.scsi(fmt.Sprintf("sd%c", 'b'+i), fmt.Sprintf("8:%d", 16*(i+1)), 1, i, fmt.Sprintf("naa.6000000000000000000000000000000%d", i), "running")
	}
	for i := range pods {
		uid := fmt.Sprintf("%08d-0000-0000-0000-000000000000", i)
		tr[fmt.Sprintf("sys/fs/cgroup/kubepods.slice/kubepods-pod%s.slice/cri-1.scope/cgroup.procs", strings.ReplaceAll(uid, "-", "_"))] = fmt.Sprintf("%d\n", 1000+i)
		tr[fmt.Sprintf("%s/pods/%s/volumes/kubernetes.io~csi/pvc-%d/vol_data.json", kubelet, uid, i)] = fmt.Sprintf(`{"driverName":"d","volumeHandle":"h-%d","specVolID":"pvc-%d"}`, i, i)
		var inside []string
		for range 5 {
			inside = append(inside, line(i%volumes, "/data"))
		}
		tr.process(1000+i, "app", uint64(4026533000+i), strings.Join(inside, "\n")+"\n")
		for n := range 4 {
			tr.thread(1000+i, 10000+10*i+n, "worker", 'S', uint64(4026533000+i), "")
		}
		for fd := range 40 {
			tr[fmt.Sprintf("proc/%d/fd/%d", 1000+i, fd)] = link(fmt.Sprintf("socket:[%d]", 1000*i+fd))
		}
	}
	return tr
}

// budget is how long the inventory of such a node may take.
const budget = 200 * time.Millisecond

// BenchmarkInventory takes the inventory of bigNode, and fails where it takes
// longer than its budget on average; the time that it and its children compute
// says more on a machine that others use.
func BenchmarkInventory(b *testing.B) {
	h := bigNode().write(b)
	r := NewReader(h, child.New(child.Default()))
	inv := r.Read(b.Context())
	if len(inv.Mounts) != 1000 || len(inv.Devices) != 100 || len(inv.Unknown) != 0 {
		b.Fatalf("%d mounts, %d devices, unknown: %v", len(inv.Mounts), len(inv.Devices), inv.Unknown)
	}
	before := computed(b)
	for b.Loop() {
		r.Read(b.Context())
	}
	took, cpu := b.Elapsed()/time.Duration(b.N), (computed(b)-before)/time.Duration(b.N)
	b.ReportMetric(float64(cpu.Milliseconds()), "cpu-ms/inventory")
	b.ReportMetric(float64(took.Milliseconds()), "ms/inventory")
	verdict := "pass"
	if took > budget {
		verdict = "fail"
		b.Errorf("an inventory takes %v, the budget is %v", took, budget)
	}
	fmt.Printf("\nRESULT benchmark=inventory verdict=%s mounts=%d devices=%d inventory_ms=%.1f cpu_ms=%.1f budget_ms=%d\n",
		verdict, len(inv.Mounts), len(inv.Devices), 1e3*took.Seconds(), 1e3*cpu.Seconds(), budget.Milliseconds())
}

// computed returns how long this process and its children have computed.
func computed(b *testing.B) time.Duration {
	b.Helper()
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum
}
