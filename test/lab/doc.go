// Command lab runs Picket on real nodes: virtual machines with Debian's kernel,
// systemd and containerd, a real kubelet, a watchdog device and real iSCSI,
// under a real control plane. Then it breaks something: power, cables, kernels,
// processes. Each scenario ends with a RESULT line, in which the storage
// target's own log judges "no two writers".
//
// It needs root, and packages of Debian that it names if they are missing, but
// no KVM and no Docker. Everything runs in namespaces of its own, which the
// kernel removes with the lab, however it ends: nothing is left behind, and
// nothing of this machine is touched.
package main
