package block

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/agent/teardown"
)

// mapsRequest asks for the tables of device-mapper devices.
type mapsRequest struct {
	Control string // device-mapper's control device
	Devices []teardown.Number
}

// A table is what a device-mapper device does with requests. Its parameters
// stay in the child: those of dm-crypt hold the key.
type table struct {
	Device   teardown.Number
	Targets  []string // types, such as crypt or error
	Queueing bool     // keeps requests while no path is left
	Error    string
}

func readMaps(r mapsRequest) ([]table, error) {
	control, err := os.OpenFile(r.Control, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	var all []table
	for _, n := range r.Devices {
		t := table{Device: n}
		targets, err := tableOf(int(control.Fd()), n)
		if err != nil {
			t.Error = err.Error()
		}
		for _, target := range targets {
			t.Targets = append(t.Targets, target.kind)
			t.Queueing = t.Queueing || target.kind == "multipath" && slices.Contains(strings.Fields(target.parameters), "queue_if_no_path")
		}
		all = append(all, t)
	}
	return all, nil
}

// The layout of struct dm_ioctl and dm_target_spec, and the flags, of
// linux/dm-ioctl.h, version 4.
const (
	dmHeader     = 312
	dmSpec       = 40
	dmTableStat  = 0xc138fd0c // DM_TABLE_STATUS
	dmWantTable  = 1 << 4     // DM_STATUS_TABLE_FLAG
	dmNoFlush    = 1 << 11    // DM_NOFLUSH_FLAG: ask, but write nothing
	dmBufferFull = 1 << 8     // DM_BUFFER_FULL_FLAG
	dmSecure     = 1 << 15    // DM_SECURE_DATA_FLAG: the kernel wipes its copy
)

type target struct{ kind, parameters string }

// tableOf asks the kernel for a device's live table.
func tableOf(control int, n teardown.Number) ([]target, error) {
	for size := 16 << 10; size <= 1<<20; size *= 4 {
		buffer := make([]byte, size)
		le := binary.NativeEndian
		le.PutUint32(buffer[0:], 4) // the interface's version: 4.0.0
		le.PutUint32(buffer[12:], uint32(size))
		le.PutUint32(buffer[16:], dmHeader)
		le.PutUint32(buffer[28:], dmWantTable|dmNoFlush|dmSecure)
		le.PutUint64(buffer[40:], unix.Mkdev(n.Major, n.Minor))
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(control), dmTableStat, uintptr(unsafe.Pointer(&buffer[0]))); errno != 0 {
			return nil, fmt.Errorf("read table of %s: %w", n, errno)
		}
		if le.Uint32(buffer[28:])&dmBufferFull == 0 {
			return parseTable(buffer, int(le.Uint32(buffer[16:])), int(le.Uint32(buffer[20:])))
		}
	}
	return nil, fmt.Errorf("read table of %s: it is too long", n)
}

// parseTable reads the targets behind the header of a dm_ioctl.
func parseTable(buffer []byte, start, count int) ([]target, error) {
	var all []target
	for at := start; count > 0; count-- {
		if at < 0 || at > len(buffer)-dmSpec {
			return nil, errors.New("device-mapper's answer ends early")
		}
		spec := buffer[at : at+dmSpec]
		parameters := buffer[at+dmSpec:]
		if end := bytes.IndexByte(parameters, 0); end >= 0 {
			parameters = parameters[:end]
		}
		kind, _, _ := bytes.Cut(spec[24:40], []byte{0})
		all = append(all, target{kind: string(kind), parameters: string(parameters)})
		next := int(binary.NativeEndian.Uint32(spec[20:])) // from the data's start
		if count > 1 && start+next <= at {
			return nil, errors.New("device-mapper's answer turns back")
		}
		at = start + next
	}
	return all, nil
}
