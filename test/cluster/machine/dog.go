package machine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
)

// The watchdog file is one record of eight little-endian 64-bit words. The
// machine writes it at each boot; from then on only the holder does.
const (
	dogMagic = "PKTWDOG1" // [0:8]
	dogSize  = 64

	dogRunning  = 8  // 0 or 1
	dogTimeout  = 16 // ns, nominal
	dogPing     = 24 // CLOCK_MONOTONIC_RAW of the last ping, ns
	dogPings    = 32 // count
	dogNoWayOut = 40 // 0 or 1
	dogKappa    = 48 // real time over nominal time, times 1000
)

// Dog is the state of a watchdog device.
type Dog struct {
	Running  bool
	Timeout  time.Duration // nominal
	Ping     time.Duration // raw time of the last ping
	Pings    uint64
	NoWayOut bool
	Kappa    float64
}

// Due is when the dog fires unless it is pinged: the last ping plus κ·T.
func (d Dog) Due() time.Duration {
	return d.Ping + time.Duration(d.Kappa*float64(d.Timeout))
}

// bytes is the record as it lies in the file.
func (d Dog) bytes() []byte {
	record := make([]byte, dogSize)
	copy(record, dogMagic)
	word := func(at int, v uint64) { binary.LittleEndian.PutUint64(record[at:], v) }
	flag := func(at int, set bool) {
		if set {
			word(at, 1)
		}
	}
	flag(dogRunning, d.Running)
	word(dogTimeout, uint64(d.Timeout))
	word(dogPing, uint64(d.Ping))
	word(dogPings, d.Pings)
	flag(dogNoWayOut, d.NoWayOut)
	word(dogKappa, uint64(d.Kappa*1000+0.5))
	return record
}

// parseDog reads a record.
func parseDog(record []byte) (Dog, error) {
	if len(record) < dogSize {
		return Dog{}, fmt.Errorf("watchdog record of %d bytes, want %d", len(record), dogSize)
	}
	if magic := string(record[:8]); magic != dogMagic {
		return Dog{}, fmt.Errorf("watchdog record begins with %q, want %q", magic, dogMagic)
	}
	word := func(at int) uint64 { return binary.LittleEndian.Uint64(record[at:]) }
	return Dog{
		Running:  word(dogRunning) != 0,
		Timeout:  time.Duration(word(dogTimeout)),
		Ping:     time.Duration(word(dogPing)),
		Pings:    word(dogPings),
		NoWayOut: word(dogNoWayOut) != 0,
		Kappa:    float64(word(dogKappa)) / 1000,
	}, nil
}

// readDog reads the device file. A file that is missing or half written is an
// error, and no reason to fire: the hardware still has its last state.
func readDog(path string) (Dog, error) {
	record, err := os.ReadFile(path)
	if err != nil {
		return Dog{}, fmt.Errorf("read the watchdog: %w", err)
	}
	return parseDog(record)
}

// writeDog puts a device in its state after a reset. The log of the last boot
// is kept aside, under its number.
func writeDog(path string, d Dog, last int) error {
	log := path + ".log"
	err := os.Rename(log, fmt.Sprintf("%s.%d", log, last))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("reset the watchdog: %w", err)
	}
	if err := os.WriteFile(path, d.bytes(), 0o600); err != nil {
		return fmt.Errorf("reset the watchdog: %w", err)
	}
	return nil
}
