package iscsi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Sizes of RFC 7143, in bytes, and what the proxy takes at most.
const (
	headerSize = 48
	digestSize = 4
	// maxSegment bounds the memory of a connection. tgtd takes 8 KiB at a time,
	// open-iscsi sends no more than the target takes.
	maxSegment = 1 << 20
)

// opcode is the kind of a PDU, without the bit for immediate delivery.
type opcode byte

const (
	opNopOut        opcode = 0x00
	opCommand       opcode = 0x01
	opTaskRequest   opcode = 0x02
	opLogin         opcode = 0x03
	opText          opcode = 0x04
	opDataOut       opcode = 0x05
	opLogout        opcode = 0x06
	opSNACK         opcode = 0x10
	opLoginResponse opcode = 0x23
)

// noTask is the reserved task tag.
const noTask = 0xffffffff

// A framing says which checksums surround the parts of a PDU, as the login
// settled.
type framing struct{ header, data bool }

// A pdu is one protocol data unit, whole and as it came.
type pdu struct {
	raw  []byte
	ahs  int // bytes of additional headers
	from int // where the data begins in raw
	size int // bytes of data, without padding
}

// readPDU reads one PDU into a buffer, which it grows as needed; the PDU is
// valid until the next read. The framing is asked for once the header is
// there: it may change with what is read before. The error is io.EOF if the
// stream ends between two PDUs.
func readPDU(r io.Reader, buffer *[]byte, framed func() framing) (pdu, error) {
	raw := grow(buffer, headerSize)
	if _, err := io.ReadFull(r, raw); err != nil {
		return pdu{}, err
	}
	f := framed()
	p := pdu{ahs: 4 * int(raw[4]), size: int(raw[5])<<16 | int(raw[6])<<8 | int(raw[7])}
	if p.size > maxSegment {
		return pdu{}, fmt.Errorf("a data segment of %d bytes, more than %d: %w", p.size, maxSegment, errNotUnderstood)
	}
	p.from = headerSize + p.ahs
	if f.header {
		p.from += digestSize
	}
	end := p.from + (p.size+3)&^3
	if f.data && p.size > 0 {
		end += digestSize
	}
	p.raw = grow(buffer, end)
	if _, err := io.ReadFull(r, p.raw[headerSize:]); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return pdu{}, err
	}
	return p, nil
}

// grow returns the first n bytes of the buffer, whose content stays.
func grow(buffer *[]byte, n int) []byte {
	if n > cap(*buffer) {
		bigger := make([]byte, n)
		copy(bigger, *buffer)
		*buffer = bigger
	}
	*buffer = (*buffer)[:n]
	return *buffer
}

func (p pdu) opcode() opcode { return opcode(p.raw[0] & 0x3f) }
func (p pdu) flags() byte    { return p.raw[1] }
func (p pdu) final() bool    { return p.raw[1]&0x80 != 0 }
func (p pdu) task() uint32   { return binary.BigEndian.Uint32(p.raw[16:]) }
func (p pdu) data() []byte   { return p.raw[p.from : p.from+p.size] }

// header is the part that every PDU has, for messages.
func (p pdu) header() []byte { return p.raw[:headerSize] }

// lun decodes the logical unit number, which must be in one of the two forms
// of a single level: peripheral or flat.
func (p pdu) lun() (uint16, error) {
	b := p.raw[8:16]
	if [6]byte(b[2:]) != [6]byte{} {
		return 0, fmt.Errorf("a LUN of several levels, %x: %w", b, errNotUnderstood)
	}
	switch method := b[0] >> 6; {
	case method == 0 && b[0] == 0:
		return uint16(b[1]), nil
	case method == 1:
		return uint16(b[0]&0x3f)<<8 | uint16(b[1]), nil
	default:
		return 0, fmt.Errorf("a LUN with another address method, %x: %w", b, errNotUnderstood)
	}
}

// cdb returns the command descriptor block of a SCSI command: 16 bytes, and
// more where an additional header extends it.
func (p pdu) cdb() ([]byte, error) {
	cdb := append([]byte(nil), p.raw[32:headerSize]...)
	const extendedCDB = 1
	for rest := p.raw[headerSize : headerSize+p.ahs]; len(rest) > 0; {
		// Each begins with its length, which counts neither itself nor its type,
		// and is padded to 4 bytes.
		n := int(binary.BigEndian.Uint16(rest))
		whole := (3 + n + 3) &^ 3
		if n < 1 || whole > len(rest) {
			return nil, fmt.Errorf("additional headers %x: %w", rest, errNotUnderstood)
		}
		if rest[2]&0x3f == extendedCDB {
			cdb = append(cdb, rest[4:3+n]...)
		}
		rest = rest[whole:]
	}
	return cdb, nil
}

// errNotUnderstood marks what the proxy refuses to forward.
var errNotUnderstood = errors.New("not understood, and so not forwarded")
