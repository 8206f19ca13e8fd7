package hold

import (
	"fmt"
	"hash/crc32"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/picket-dev/picket/proto/timing"
)

// A Record is what a holder leaves for its successor in the same boot.
type Record struct {
	State State
	// Timeout is T, PetUntil the deadline; zero unless Armed (T also in Free,
	// Coasting and Testing).
	Timeout  time.Duration
	PetUntil timing.Instant
}

// Verdict says what a marker is worth. The zero Verdict is that of a marker
// nobody has read, and is treated like a corrupt one.
type Verdict uint8

const (
	// Corrupt: it is there and makes no sense, or nobody could read it.
	Corrupt Verdict = iota
	// Absent: there is no marker.
	Absent
	// OtherBoot: it was left by another boot and binds nobody.
	OtherBoot
	// Ours: it was left in this boot, and its record binds.
	Ours
)

// String returns the word for logs and errors.
func (v Verdict) String() string {
	switch v {
	case Corrupt:
		return "corrupt"
	case Absent:
		return "absent"
	case OtherBoot:
		return "of another boot"
	case Ours:
		return "of this boot"
	}
	return fmt.Sprintf("Verdict(%d)", uint8(v))
}

// MarkerSize is the size of a marker in bytes.
const MarkerSize = slotAt + 8 + 2*slotSize

// The layout: magic, boot ID, the number of the slot in force, and two slots
// of {state, T, petUntil raw, petUntil boot, checksum}, all little endian.
// A record is written into the other slot, which then comes into force by one
// store: whoever is killed on the way leaves the old record or the new one.
const (
	markerMagic = "PKTMARK1"
	slotAt      = 48
	slotSize    = 64
)

// NewMarker returns the marker of a boot, with one record in force.
func NewMarker(boot string, r Record) []byte {
	m := make([]byte, MarkerSize)
	w := writer{m}
	copy(w.next(8), markerMagic)
	w.text(boot, bootText)
	PutRecord(m, r)
	return m
}

// PutRecord brings r into force in the marker m, which is MarkerSize bytes of
// memory shared with a file. It allocates nothing and does no system call. It
// panics on a marker of another size.
func PutRecord(m []byte, r Record) {
	inForce := (*uint64)(unsafe.Pointer(&m[:MarkerSize][slotAt]))
	next := 1 - atomic.LoadUint64(inForce)&1
	slot := m[slotAt+8+next*slotSize:][:slotSize]
	w := writer{slot}
	w.u64(uint64(r.State))
	w.duration(r.Timeout)
	w.instant(r.PetUntil)
	w.u64(checksum(m, slot))
	atomic.StoreUint64(inForce, next)
}

// ReadMarker parses the marker m for the boot of that ID.
func ReadMarker(m []byte, boot string) (Record, Verdict) {
	if len(m) != MarkerSize {
		return Record{}, Corrupt
	}
	r := reader{b: m}
	if string(r.next(8)) != markerMagic {
		return Record{}, Corrupt
	}
	writer := r.text(bootText)
	inForce := r.u64()
	if r.bad != "" || writer == "" || inForce > 1 {
		return Record{}, Corrupt
	}
	if writer != boot {
		return Record{}, OtherBoot
	}
	slot := m[slotAt+8+inForce*slotSize:][:slotSize]
	s := reader{b: slot}
	state := s.u64()
	rec := Record{State: State(state), Timeout: s.duration()}
	rec.PetUntil = s.instant()
	sum := s.u64()
	if s.bad != "" || state < uint64(Idle) || state > uint64(lastState) || sum != checksum(m, slot) {
		return Record{}, Corrupt
	}
	return rec, Ours
}

// checksum covers the boot ID and the record of a slot.
func checksum(m, slot []byte) uint64 {
	return uint64(crc32.Update(crc32.ChecksumIEEE(m[8:slotAt]), crc32.IEEETable, slot[:32]))
}
