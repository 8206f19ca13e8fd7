// Package block says what of volumes is on the host.
//
// A Reader takes the whole inventory for a teardown: the mounts of all mount
// namespaces, block devices and what they are made of, what krbd, rbd-nbd,
// iSCSI and NVMe over fabrics have mapped, the files in which the kubelet, CSI
// drivers and open-iscsi keep it, and what the host itself uses. A Glance says
// whether it is worth while.
//
// It changes nothing, and never hangs. What procfs, sysfs and /dev hold it reads
// itself, but for what may wait for a lock or for storage: that, and everything
// below the host's root, is read by disposable children with a bound. A look that
// hangs all the same is abandoned. What could not be read is an unknown, and never a
// shorter inventory. Secrets that lie beside what it reads stay where they are.
//
// It refuses to judge: whose a device is, and what becomes of it, is
// agent/teardown's.
package block
