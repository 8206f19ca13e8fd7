#!/bin/bash
# build.sh DIR RELEASE MIRROR PACKAGES: makes DIR/root.img, DIR/vmlinuz and
# DIR/initrd.img. It runs in a mount namespace of its own.
set -euo pipefail
dir=$1 release=$2 mirror=$3 packages=$4
root=$dir/root

debootstrap --variant=minbase --include="$packages" "$release" "$root" "$mirror"
umount -R "$root/proc" "$root/sys" 2>/dev/null || true

# An initramfs that holds no more than these machines need unpacks in a second;
# Debian's takes ten on an emulated processor.
sed -i 's/^MODULES=.*/MODULES=list/' "$root/etc/initramfs-tools/initramfs.conf"
printf '%s\n' virtio_pci virtio_blk ext4 >>"$root/etc/initramfs-tools/modules"
touch "$root/etc/fstab"
mount -t proc proc "$root/proc"
chroot "$root" update-initramfs -u -k all
umount "$root/proc"
cp "$root"/boot/vmlinuz-* "$dir/vmlinuz"
cp "$root"/boot/initrd.img-*-amd64 "$dir/initrd.img"

# What no node of the lab uses.
rm -rf "$root"/boot/* "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* \
	"$root"/usr/share/{doc,man,locale,info} "$root"/var/log/*.log
for kernel in "$root"/lib/modules/*/kernel; do
	rm -rf "$kernel"/sound "$kernel"/drivers/{gpu,media,infiniband,iio,isdn,bluetooth,staging,usb,hwmon,mmc,nfc,comedi,video} \
		"$kernel"/drivers/net/{wireless,ethernet,usb,can} "$kernel"/net/{wireless,mac80211,bluetooth}
done
chroot "$root" depmod "$(basename "$root"/lib/modules/*)"
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
	e2scrub_reap.service getty@tty1.service systemd-pstore.service; do
	ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
# Who wants it starts it: it would take every volume of a node for its own.
rm -f "$root"/etc/systemd/system/*.wants/multipathd.*
# Each machine has an identity of its own.
rm -f "$root/etc/machine-id" "$root/var/lib/dbus/machine-id" "$root/etc/hostname" "$root/etc/iscsi/initiatorname.iscsi"
mkdir -p "$root/opt/cni" && ln -sfn /usr/lib/cni "$root/opt/cni/bin"

truncate -s 6G "$dir/root.img"
mke2fs -q -t ext4 -m 0 -E lazy_itable_init=0,lazy_journal_init=0 -d "$root" "$dir/root.img"
rm -rf "$root"
