#!/bin/bash
# Records what agent/internal/block reads of a node of the lab that is up, for the
# package's tests (agent/internal/block/recorded_test.go):
#
#   test/lab/record.sh node-2 >agent/internal/block/testdata/recorded/NAME.txt
#
# In the scenarios in which a node comes back, the moment is just after the line
# "node-N has NAME on sda": the volume is mounted and dirty, and some seconds later
# the node is cut off, which this does not feel. LAB is another command for the
# lab's own, where that is not to be built for it.
#
# The node is only read, at idle priority, and no block device is opened. The output
# is that of head -v: a line ==> PATH <== before each file's text, and an empty line
# between two files. A symbolic link's text is -> and where it leads, and the path of
# a directory ends with a slash. What the agent's children ask the kernel is written
# as they answer it: of maps the kinds of their targets, whose parameters show keys.
# Nor is there what a node has of secrets: rbd's config_info, passwords of sessions
# and records.
set -eu -o pipefail

${LAB:-go run ./test/lab} exec "$1" "$(cat <<'EOF'
chrt -i -p 0 $$ && exec 2>/dev/null
each() { case $1 in /*) find "$@" ;; esac; }
dirs() { each "$@" -type d -printf '==> %p/ <==\n\n'; }
links() { each "$@" -type l -printf '==> %p <==\n-> %l\n\n'; }
texts() { sort -u | xargs -r head -v -c 65536; echo; }

disks=$(realpath /sys/class/block/*)
units=$(realpath -e /sys/class/block/sd*/device /sys/class/iscsi_session/*/device)
ends=$(realpath -e /sys/class/iscsi_session/* /sys/class/iscsi_connection/*)
images=$(realpath -e /sys/bus/rbd/devices/*)
links /sys/class/block /sys/class/iscsi_session /sys/class/iscsi_connection /sys/bus/rbd/devices -maxdepth 1
links $disks -maxdepth 2 \( -name device -o -path '*/slaves/*' \)
links $ends -maxdepth 1 -name device
dirs /sys/firmware /sys/module/libceph /sys/kernel/debug/ceph -maxdepth 1
each /sys/kernel/debug/ceph -name mdsc -printf '==> %p <==\n\n'
{
	each $disks -maxdepth 2 -type f -regex '.*/\(dev\|inflight\|hidden\|partition\|dm/name\|dm/uuid\|loop/backing_file\)'
	each $units -maxdepth 3 -type f \( -name wwid -o -name state -o -name type \)
	each $ends -maxdepth 1 \( -name targetname -o -name persistent_address -o -name persistent_port \)
	for d in $images; do printf "$d/%s\n" major minor pool pool_ns name current_snap client_id cluster_fsid; done
} | texts

# What device-mapper answers, and the names below /dev.
echo '==> /dev/mapper/control <=='
{ dmsetup info -c --noheadings --separator ' ' -o name,major,minor; dmsetup table; } | awk '
	$1 !~ /:$/ && NF == 3 && $3 ~ /^[0-9]+$/ { number[$1 ":"] = "{\"Major\":" $2 ",\"Minor\":" $3 "}"; next }
	{ kinds[$1] = kinds[$1] (kinds[$1] ? "," : "") "\"" $4 "\"" }
	$4 == "multipath" && / queue_if_no_path / { queueing[$1] = ",\"Queueing\":true" }
	END { printf "["; for (n in number) { printf "%s{\"Device\":%s,\"Targets\":[%s]%s}", comma, number[n], kinds[n], queueing[n]; comma = ",\n" }; print "]\n" }'
each /dev -xdev -type b -printf '==> %p <==\n\n'
links /dev/disk /dev/mapper

# Pods; one process of each mount namespace, and those that belong to volumes.
pods=$(find /sys/fs/cgroup -type d -regex '.*[-/]pod[0-9a-f][^/]*')
dirs /sys/fs/cgroup
each $pods -name cgroup.procs -o -name cgroup.events | texts
first=$(find /proc/[0-9]*/ns/mnt -maxdepth 0 -printf '%l %p\n' | sort -t/ -k3n | awk -F/ '/^mnt/ && !seen[$1]++ { print $3 }')
others=$(each $pods -name cgroup.procs | xargs cat; pgrep -x 'kubelet|containerd|iscsid|multipathd')
tasks=$(printf '%s\n' $first $others | sort -nu | sed 's|.*|/proc/&/task/&|')
links /proc/1/ns/mnt $(printf '%s/ns/mnt %s/root ' $(printf '%s\n' $tasks | sed p)) -maxdepth 0
{ printf '%s/stat\n' $tasks; for p in $first; do echo /proc/$p/task/$p/mountinfo; done; } | texts
links /proc/[0-9]*/fd -lname 'mnt:*'
echo '==> /run/opens <=='
find /proc/[0-9]*/fd -xtype b | xargs -r stat -L -c '%n %Hr:%Lr'
echo

# Files of the host; no mount of a volume is entered.
dirs /var/lib/kubelet -maxdepth 0
dirs /var/lib/kubelet/plugins/kubernetes.io/iscsi -xdev -mindepth 2 -maxdepth 3
{
	printf '%s\n' /proc/swaps /proc/cmdline
	each /etc/fstab /etc/crypttab /etc/ceph/rbdmap /run/udev/data/b* /etc/iscsi/nodes /var/lib/iscsi/nodes -type f
	each /etc/systemd/system -maxdepth 1 -type f \( -name '*.mount' -o -name '*.swap' -o -name '*.automount' \)
	each /var/lib/kubelet/pods/*/volumes /var/lib/kubelet/plugins/kubernetes.io/csi -xdev -type f \( -name vol_data.json -o -name image-meta.json \)
} | texts
EOF
)" | sed -E 's/^(node\..*(password|username)[a-z_]*) = .*/\1 = redacted/'
