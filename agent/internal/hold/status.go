package hold

import (
	"fmt"
	"time"

	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/proto/timing"
)

// Status is the holder's answer to every call: what it does, with what device,
// and how well.
type Status struct {
	State  State
	Device watchdog.Facts
	// Timeout is T in force, as the driver reported it; zero while Idle.
	Timeout time.Duration
	// PetDelay is δ: the holder resets the host when a ping that began before
	// petUntil ends later than this after its check, and after petUntil.
	PetDelay time.Duration
	// PetUntil is the deadline in force; zero unless Armed.
	PetUntil timing.Instant
	// LastPet is the check before the last ping that worked.
	LastPet timing.Instant
	// WorstDelay is the longest time from the instant at which a ping was due
	// until it was done, since the holder started.
	WorstDelay time.Duration
	// Pets counts the pings that worked.
	Pets uint64
	// Failing says that the last ping failed, or that the device is gone
	// (A11).
	Failing bool
	// Outlives says that the configuration promises a holder which outlives
	// its agent; Stored that it has sent the device to systemd's FD store, which
	// nobody acknowledges. Only where systemd itself says that it keeps the
	// device is the death of the holder no ungated ping.
	Outlives, Stored bool
	// PID is the holder's process, 0 where unknown. It is not in the message:
	// the Client has it from the kernel.
	PID int
	// Locked, RealTime and Unkillable say which protections the kernel
	// granted: locked memory, a real-time scheduling class, and exemption from
	// the OOM killer.
	Locked, RealTime, Unkillable bool
	// Now is the holder's clock when it answered.
	Now timing.Instant
	// Boot is the boot ID that the marker carries.
	Boot string
	// Version of the holder's binary.
	Version string
	// LastError is the last thing that went wrong, with what to do about it.
	LastError string
}

// A Reply is one message from the holder.
type Reply struct {
	Seq    uint64
	Status Status
	// Err is why the call was not carried out, or nil.
	Err *Error
}

// ReplySize is the size of every reply in bytes.
const ReplySize = 1536

const (
	replyMagic = "PKTR"

	bootText    = 40
	driverText  = 32
	versionText = 64
	errorText   = 592
)

// Encode writes r into b, which must hold ReplySize bytes. Texts that are too
// long are cut.
func (r Reply) Encode(b []byte) {
	w, s := writer{b[:ReplySize]}, &r.Status
	copy(w.next(4), replyMagic)
	w.u8(Protocol)
	w.u8(uint8(s.State))
	w.u8(uint8(s.Device.Kind))
	var err Error
	if r.Err != nil {
		err = *r.Err
	}
	w.u8(uint8(err.Code))
	w.u64(r.Seq)
	w.flags(s.Device.Nowayout, s.Failing, s.Outlives, s.Stored, s.Locked, s.RealTime, s.Unkillable)
	clear(w.next(3))
	w.u32(uint32(s.Device.Kappa))
	w.duration(s.Device.Min)
	w.duration(s.Device.Max)
	w.duration(s.Timeout)
	w.duration(s.PetDelay)
	w.duration(s.WorstDelay)
	w.u64(s.Pets)
	w.instant(s.PetUntil)
	w.instant(s.LastPet)
	w.instant(s.Now)
	w.text(s.Boot, bootText)
	w.text(s.Device.Driver, driverText)
	w.text(s.Device.Identity, driverText)
	w.text(s.Version, versionText)
	w.text(s.LastError, errorText)
	w.text(err.Text, errorText)
	clear(w.b)
}

// DecodeReply parses one message of a holder.
func DecodeReply(b []byte) (Reply, error) {
	if len(b) != ReplySize {
		return Reply{}, fmt.Errorf("reply of the holder has %d bytes, want %d", len(b), ReplySize)
	}
	r := reader{b: b}
	if magic := r.next(4); string(magic) != replyMagic {
		return Reply{}, fmt.Errorf("reply of the holder begins with %q, want %q", magic, replyMagic)
	}
	if version := r.u8(); version != Protocol {
		return Reply{}, fmt.Errorf("%w: the holder speaks version %d, this agent version %d: upgrade the older",
			ErrVersion, version, Protocol)
	}
	var q Reply
	var code Code
	s := &q.Status
	s.State = State(r.u8())
	s.Device.Kind = watchdog.Kind(r.u8())
	code = Code(r.u8())
	q.Seq = r.u64()
	r.flags(&s.Device.Nowayout, &s.Failing, &s.Outlives, &s.Stored, &s.Locked, &s.RealTime, &s.Unkillable)
	if [3]byte(r.next(3)) != [3]byte{} {
		r.fail("a reserved byte that is not zero")
	}
	s.Device.Kappa = int(r.u32())
	s.Device.Min = r.duration()
	s.Device.Max = r.duration()
	s.Timeout = r.duration()
	s.PetDelay = r.duration()
	s.WorstDelay = r.duration()
	s.Pets = r.u64()
	s.PetUntil = r.instant()
	s.LastPet = r.instant()
	s.Now = r.instant()
	s.Boot = r.text(bootText)
	s.Device.Driver = r.text(driverText)
	s.Device.Identity = r.text(driverText)
	s.Version = r.text(versionText)
	s.LastError = r.text(errorText)
	text := r.text(errorText)
	for _, rest := range r.b {
		if rest != 0 {
			r.fail("a reserved byte that is not zero")
		}
	}
	if s.State > lastState || s.Device.Kind > watchdog.KindFile || uint8(code) > lastCode || code == 0 && text != "" {
		r.fail("an unknown state, kind or error")
	}
	if r.bad != "" {
		return Reply{}, fmt.Errorf("reply of the holder has %s", r.bad)
	}
	if code != 0 {
		q.Err = &Error{Code: code, Text: text}
	}
	return q, nil
}
