package iscsi

import (
	"encoding/binary"
	"fmt"
)

// An extent is what a SCSI command changes: blocks from an address on. Blocks
// 0 means that the CDB does not say: to the end (WRITE SAME), as listed in the
// data (UNMAP), everything (FORMAT UNIT, SANITIZE).
type extent struct {
	lba    uint64
	blocks uint32
}

// layout says where a CDB holds its block address and its length.
type layout int

const (
	noExtent layout = iota
	cdb6            // 21 bits of address in bytes 1–3, length in byte 4
	cdb10           // address in bytes 2–5, length in 7–8
	cdb12           // address in bytes 2–5, length in 6–9
	cdb16           // address in bytes 2–9, length in 10–13
	cdb16One        // address in bytes 2–9, length in byte 13
	cdb16Two        // address in bytes 2–9, length in 12–13
	cdb32           // address in bytes 12–19, length in 28–31
)

// effect is what a command does to the medium.
type effect struct {
	kind   Kind // empty: nothing
	name   string
	layout layout
}

// effects lists every command that the proxy lets pass. One that is missing
// here may write in a way that the log could not show.
//
// Those that Linux's sd, sg and udev send are all there: T10's SBC-4 and SPC-5
// name and number them.
var effects = map[byte]effect{
	// What writes.
	0x0a: {Command, "WRITE(6)", cdb6},
	0x2a: {Command, "WRITE(10)", cdb10},
	0xaa: {Command, "WRITE(12)", cdb12},
	0x8a: {Command, "WRITE(16)", cdb16},
	0x2e: {Command, "WRITE AND VERIFY(10)", cdb10},
	0xae: {Command, "WRITE AND VERIFY(12)", cdb12},
	0x8e: {Command, "WRITE AND VERIFY(16)", cdb16},
	0x9c: {Command, "WRITE ATOMIC(16)", cdb16Two},
	0x41: {Command, "WRITE SAME(10)", cdb10},
	0x93: {Command, "WRITE SAME(16)", cdb16},
	0x42: {Command, "UNMAP", noExtent},
	0x89: {Command, "COMPARE AND WRITE", cdb16One},
	0x8b: {Command, "ORWRITE(16)", cdb16},
	0x04: {Command, "FORMAT UNIT", noExtent},
	0x48: {Command, "SANITIZE", noExtent},
	// What makes durable.
	0x35: {Sync, "SYNCHRONIZE CACHE(10)", cdb10},
	0x91: {Sync, "SYNCHRONIZE CACHE(16)", cdb16},
	// What reads, asks or reserves.
	0x00: {name: "TEST UNIT READY"},
	0x03: {name: "REQUEST SENSE"},
	0x08: {name: "READ(6)"},
	0x12: {name: "INQUIRY"},
	0x15: {name: "MODE SELECT(6)"},
	0x16: {name: "RESERVE(6)"},
	0x17: {name: "RELEASE(6)"},
	0x1a: {name: "MODE SENSE(6)"},
	0x1b: {name: "START STOP UNIT"},
	0x1c: {name: "RECEIVE DIAGNOSTIC RESULTS"},
	0x1e: {name: "PREVENT ALLOW MEDIUM REMOVAL"},
	0x25: {name: "READ CAPACITY(10)"},
	0x28: {name: "READ(10)"},
	0x2f: {name: "VERIFY(10)"},
	0x34: {name: "PRE-FETCH(10)"},
	0x3c: {name: "READ BUFFER(10)"},
	0x4d: {name: "LOG SENSE"},
	0x55: {name: "MODE SELECT(10)"},
	0x56: {name: "RESERVE(10)"},
	0x57: {name: "RELEASE(10)"},
	0x5a: {name: "MODE SENSE(10)"},
	0x5e: {name: "PERSISTENT RESERVE IN"},
	0x5f: {name: "PERSISTENT RESERVE OUT"},
	0x88: {name: "READ(16)"},
	0x8f: {name: "VERIFY(16)"},
	0x90: {name: "PRE-FETCH(16)"},
	0x9e: {name: "SERVICE ACTION IN(16)"},
	0xa0: {name: "REPORT LUNS"},
	0xa3: {name: "MAINTENANCE IN"},
	0xa8: {name: "READ(12)"},
	0xaf: {name: "VERIFY(12)"},
}

// longEffects are the commands of 32 bytes, by service action.
var longEffects = map[uint16]effect{
	0x0009: {name: "READ(32)"},
	0x000a: {name: "VERIFY(32)"},
	0x000b: {Command, "WRITE(32)", cdb32},
	0x000c: {Command, "WRITE AND VERIFY(32)", cdb32},
	0x000d: {Command, "WRITE SAME(32)", cdb32},
	0x000e: {Command, "ORWRITE(32)", cdb32},
}

// variableLength is the operation code of CDBs longer than 16 bytes.
const variableLength = 0x7f

// judgeCDB says what a command does to the medium. It fails for one that it
// does not know, or that is too short.
func judgeCDB(cdb []byte) (effect, extent, error) {
	known, ok := effects[cdb[0]]
	if cdb[0] == variableLength {
		known, ok = longEffects[binary.BigEndian.Uint16(cdb[8:])]
	}
	if !ok {
		return effect{}, extent{}, fmt.Errorf("SCSI command %x: %w", cdb, errNotUnderstood)
	}
	if known.layout == cdb32 && len(cdb) < 32 {
		return effect{}, extent{}, fmt.Errorf("%s of %d bytes: %w", known.name, len(cdb), errNotUnderstood)
	}
	return known, known.layout.extent(cdb), nil
}

// extent decodes the address and length of a CDB that is long enough.
func (l layout) extent(cdb []byte) extent {
	word := func(at int) uint64 { return uint64(binary.BigEndian.Uint32(cdb[at:])) }
	long := func(at int) uint64 { return binary.BigEndian.Uint64(cdb[at:]) }
	short := func(at int) uint32 { return uint32(binary.BigEndian.Uint16(cdb[at:])) }
	switch l {
	case noExtent:
		return extent{}
	case cdb6:
		blocks := uint32(cdb[4])
		if blocks == 0 {
			blocks = 256 // SBC: there is no WRITE(6) of nothing
		}
		return extent{word(0) & 0x1fffff, blocks}
	case cdb10:
		return extent{word(2), short(7)}
	case cdb12:
		return extent{word(2), uint32(word(6))}
	case cdb16:
		return extent{long(2), uint32(word(10))}
	case cdb16One:
		return extent{long(2), uint32(cdb[13])}
	case cdb16Two:
		return extent{long(2), short(12)}
	case cdb32:
		return extent{long(12), uint32(word(28))}
	}
	return extent{}
}
