package vm

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/picket-dev/picket/test/lab/wire"
)

// processor is QEMU's plainest with what TLS is fast with.
const processor = "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+aes,+pclmulqdq,+movbe,+bmi1,+bmi2,+adx,+rdrand,+fsgsbase"

// argv is the machine as QEMU is told of it.
func (m *Machine) argv() []string {
	o := m.opts
	kernel := []string{
		"console=ttyS0", "root=/dev/vda", "rw", "quiet", "loglevel=4",
		"net.ifnames=0", "systemd.show_status=0", "systemd.getty_auto=no",
		// What a processor's flaws cost is paid many times over where it is emulated.
		"mitigations=off",
	}
	argv := []string{
		"qemu-system-x86_64", "-name", o.Name, "-nodefaults", "-no-user-config", "-display", "none",
		"-machine", "pc", "-accel", "tcg,thread=multi", "-cpu", processor, "-smp", "1", "-m", fmt.Sprint(o.Memory),
		"-uuid", o.UUID,
		"-kernel", o.Kernel, "-initrd", o.Initrd, "-append", strings.Join(kernel, " "),
		"-device", "i6300esb", "-action", "watchdog=reset",
		"-device", "virtio-rng-pci",
		// What the guest has handed to QEMU is in this host's page cache, and
		// survives the end of QEMU: a flush to the disk below would add nothing.
		"-drive", "file=" + o.Disk + ",format=raw,if=virtio,cache=unsafe",
		"-qmp", "unix:" + m.path("qmp") + ",server=on,wait=off",
		"-chardev", "file,id=console,path=" + m.path("console") + ",append=on", "-serial", "chardev:console",
		"-device", "virtio-serial-pci",
		"-chardev", "file,id=journal,path=" + m.path("journal") + ",append=on",
		"-device", "virtconsole,chardev=journal",
		"-chardev", "file,id=pods,path=" + m.path("pods") + ",append=on",
		"-device", "virtconsole,chardev=pods",
		"-chardev", "socket,id=hand,path=" + m.path("hand") + ",server=on,wait=off",
		"-device", "virtserialport,chardev=hand,name=" + wire.Port,
	}
	for i, card := range o.Cards {
		argv = append(argv,
			"-netdev", fmt.Sprintf("tap,id=net%d,ifname=%s,script=no,downscript=no", i, card.Tap),
			"-device", fmt.Sprintf("virtio-net-pci,id=card%d,netdev=net%d,mac=%s", i, i, card.MAC))
	}
	return argv
}

// path is that of a file of the machine's in Dir.
func (m *Machine) path(kind string) string {
	return filepath.Join(m.opts.Dir, m.opts.Name+"."+kind)
}
