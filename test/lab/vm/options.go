package vm

import "net"

// Options describe a machine.
type Options struct {
	// Name is the machine's, and the prefix of its files in Dir: NAME.console
	// (the kernel's), NAME.journal (systemd's), NAME.pods and NAME.qemu.
	Name string
	// Dir takes logs and sockets. Its path must be short: a unix socket's is at
	// most 107 bytes.
	Dir string
	// Disk is the machine's own.
	Disk string
	// Kernel and Initrd are what it boots.
	Kernel, Initrd string
	// UUID is the system's, in the firmware's tables.
	UUID string
	// Memory is in MiB.
	Memory int
	// Cards are its network cards, eth0 first.
	Cards []Card
	// Notify is told of each event; it must not block.
	Notify func(Event)
}

// Card is a network card on a tap.
type Card struct {
	Tap string
	MAC net.HardwareAddr
}
