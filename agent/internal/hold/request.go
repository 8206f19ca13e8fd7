package hold

import (
	"fmt"
	"time"

	"github.com/picket-dev/picket/proto/timing"
)

// Op is what an agent asks of its holder. The zero Op is unknown and refused.
type Op uint8

const (
	// OpStatus asks for the Status only. Every other call is answered by a
	// Status, too.
	OpStatus Op = iota + 1
	// OpArm opens the device if need be, sets T, and from then on pings until
	// petUntil. An armed holder takes it for SetTimeout and Extend together.
	OpArm
	// OpExtend moves petUntil. One that is not later is ignored.
	OpExtend
	// OpSetTimeout changes T of an armed holder. That pings the device, so it
	// needs a petUntil like any ping, and extends by it.
	OpSetTimeout
	// OpLatch resets the host at once, in whatever state (A1).
	OpLatch
	// OpFree lets the holder ping without a deadline until it is armed again.
	OpFree
	// OpDisarm stops the device by a magic close.
	OpDisarm
	// OpCoast sets the long T of a host that shuts down, by the last ping of
	// this boot, and needs a petUntil for it like OpSetTimeout.
	OpCoast
	// OpTest sets T of a device that nothing gates, pings it once more, and
	// never again in this boot: the device must reset the host.
	OpTest
)

const lastOp = OpTest

// String returns the name of the operation.
func (o Op) String() string {
	switch o {
	case OpStatus:
		return "Status"
	case OpArm:
		return "Arm"
	case OpExtend:
		return "Extend"
	case OpSetTimeout:
		return "SetTimeout"
	case OpLatch:
		return "Latch"
	case OpFree:
		return "Free"
	case OpDisarm:
		return "Disarm"
	case OpCoast:
		return "Coast"
	case OpTest:
		return "Test"
	}
	return fmt.Sprintf("Op(%d)", uint8(o))
}

// A Request is one message from the agent.
type Request struct {
	// Seq comes back in the reply.
	Seq uint64
	Op  Op
	// Timeout is T, for OpArm, OpSetTimeout, OpCoast and OpTest.
	Timeout time.Duration
	// PetUntil is the deadline, for OpArm, OpExtend, OpSetTimeout and OpCoast.
	PetUntil timing.Instant
}

// RequestSize is the size of every request in bytes.
const RequestSize = 48

const requestMagic = "PKTH"

// Encode writes r into b, which must hold RequestSize bytes.
func (r Request) Encode(b []byte) {
	w := writer{b}
	copy(w.next(4), requestMagic)
	w.u8(Protocol)
	w.u8(uint8(r.Op))
	clear(w.next(2))
	w.u64(r.Seq)
	w.duration(r.Timeout)
	w.instant(r.PetUntil)
	clear(w.next(8))
}

// DecodeRequest parses one message. Its errors are *Error, ready to be sent
// back: ErrVersion for another protocol, ErrInvalid for garbage. The Seq is
// returned even then, where the message has one.
func DecodeRequest(b []byte) (Request, error) {
	if len(b) != RequestSize {
		return Request{}, refuse(ErrInvalid, "the message has %d bytes, a request has %d", len(b), RequestSize)
	}
	r := reader{b: b}
	if magic := r.next(4); string(magic) != requestMagic {
		return Request{}, refuse(ErrInvalid, "the message begins with %q, a request with %q", magic, requestMagic)
	}
	version := r.u8()
	q := Request{Op: Op(r.u8())}
	reserved := [2]byte(r.next(2))
	q.Seq = r.u64()
	if version != Protocol {
		return Request{Seq: q.Seq}, refuse(ErrVersion, "the agent speaks version %d, this holder version %d: upgrade the older", version, Protocol)
	}
	q.Timeout = r.duration()
	q.PetUntil = r.instant()
	if reserved != [2]byte{} || [8]byte(r.next(8)) != [8]byte{} {
		r.fail("a reserved byte that is not zero")
	}
	if q.Op == 0 || q.Op > lastOp {
		r.fail(fmt.Sprintf("the unknown operation %d", uint8(q.Op)))
	}
	if r.bad != "" {
		return Request{Seq: q.Seq}, refuse(ErrInvalid, "the message has %s", r.bad)
	}
	return q, nil
}
