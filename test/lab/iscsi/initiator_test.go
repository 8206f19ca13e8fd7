package iscsi

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net"
	"slices"
	"strings"
	"testing"
)

// initiator is the smallest iSCSI initiator that can log in, ask and write.
type initiator struct {
	t      *testing.T
	conn   net.Conn
	task   uint32
	cmd    uint32
	status uint32 // expected StatSN
	buffer []byte
	digest framing
}

// build makes a PDU; the header function fills in what its opcode needs.
func build(op byte, flags byte, data []byte, header func(h []byte)) []byte {
	p := make([]byte, headerSize, headerSize+len(data)+3)
	p[0], p[1] = op, flags
	p[5], p[6], p[7] = byte(len(data)>>16), byte(len(data)>>8), byte(len(data))
	if header != nil {
		header(p)
	}
	p = append(p, data...)
	return append(p, make([]byte, -len(data)&3)...)
}

func text(pairs ...string) []byte { return []byte(strings.Join(pairs, "\x00") + "\x00") }

// dial logs in, in one exchange.
func dial(t *testing.T, addr, name string, pairs ...string) (*initiator, error) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	i := &initiator{t: t, conn: conn, cmd: 1}
	pairs = append([]string{"InitiatorName=" + name, "AuthMethod=None", "ErrorRecoveryLevel=0"}, pairs...)
	const operational, full = 1 << 2, 3
	i.send(build(0x40|byte(opLogin), transit|operational|full, text(pairs...), func(h []byte) {
		copy(h[8:14], []byte{0x80, 0, 0, 0, 0, 7})
		binary.BigEndian.PutUint32(h[24:], i.cmd)
	}))
	for {
		p, err := i.receive()
		if err != nil {
			return nil, err
		}
		if p.raw[36] != 0 {
			return nil, fmt.Errorf("login refused: class %d detail %d", p.raw[36], p.raw[37])
		}
		if p.flags()&transit != 0 && p.flags()&3 == full {
			i.digest.header = bytes.Contains(p.data(), []byte("HeaderDigest=CRC32C"))
			i.digest.data = bytes.Contains(p.data(), []byte("DataDigest=CRC32C"))
			return i, nil
		}
		i.send(build(0x40|byte(opLogin), transit|operational|full, nil, func(h []byte) {
			copy(h[8:14], []byte{0x80, 0, 0, 0, 0, 7})
			binary.BigEndian.PutUint32(h[24:], i.cmd)
			binary.BigEndian.PutUint32(h[28:], i.status)
		}))
	}
}

// send leaves errors to receive, which sees them, too.
func (i *initiator) send(raw []byte) { _, _ = i.conn.Write(i.sum(raw)) }

// sum adds the digests to a PDU without additional headers.
func (i *initiator) sum(raw []byte) []byte {
	digest := func(part []byte) []byte {
		sum := crc32.Checksum(part, crc32.MakeTable(crc32.Castagnoli))
		return binary.LittleEndian.AppendUint32(nil, sum)
	}
	header, data := raw[:headerSize:headerSize], raw[headerSize:]
	if i.digest.header {
		header = append(header, digest(header)...)
	}
	if i.digest.data && len(data) > 0 {
		data = append(slices.Clip(data), digest(data)...)
	}
	return append(header, data...)
}

func (i *initiator) receive() (pdu, error) {
	p, err := readPDU(i.conn, &i.buffer, func() framing { return i.digest })
	if err == nil {
		i.status = binary.BigEndian.Uint32(p.raw[24:]) + 1
	}
	return p, err
}

// do sends one SCSI command to LUN 1 and serves the target until its status.
// The first so many bytes of data go with the command, the rest as asked for.
func (i *initiator) do(cdb []byte, data []byte, immediate, expected int) (read []byte, err error) {
	const read32, write32, final = 0x40, 0x20, 0x80
	i.task++
	task := i.task
	flags := byte(final)
	switch {
	case len(data) > 0:
		flags |= write32
	case expected > 0:
		flags |= read32
	}
	i.send(build(byte(opCommand), flags, data[:immediate], func(h []byte) {
		h[9] = 1
		binary.BigEndian.PutUint32(h[16:], task)
		binary.BigEndian.PutUint32(h[20:], uint32(max(expected, len(data))))
		binary.BigEndian.PutUint32(h[24:], i.cmd)
		binary.BigEndian.PutUint32(h[28:], i.status)
		copy(h[32:48], cdb)
	}))
	i.cmd++
	for {
		p, err := i.receive()
		if err != nil {
			return nil, err
		}
		const response, dataIn, r2t = 0x21, 0x25, 0x31
		switch p.opcode() {
		case response:
			if p.raw[3] != 0 {
				return nil, fmt.Errorf("status %#x, sense %x", p.raw[3], p.data())
			}
			return read, nil
		case dataIn:
			read = append(read, p.data()...)
			if p.flags()&1 != 0 {
				return read, nil
			}
		case r2t:
			i.status-- // an R2T has none of its own
			from := int(binary.BigEndian.Uint32(p.raw[40:]))
			size := int(binary.BigEndian.Uint32(p.raw[44:]))
			i.dataOut(task, [4]byte(p.raw[20:24]), data, from, size)
		default:
			return nil, fmt.Errorf("the target sent %x", p.header())
		}
	}
}

// dataOut answers an R2T in PDUs of at most 8 KiB.
func (i *initiator) dataOut(task uint32, tag [4]byte, data []byte, from, size int) {
	for at := from; at < from+size; at += 8192 {
		part := data[at:min(at+8192, from+size)]
		flags := byte(0)
		if at+len(part) == from+size {
			flags = 0x80
		}
		i.send(build(byte(opDataOut), flags, part, func(h []byte) {
			h[9] = 1
			binary.BigEndian.PutUint32(h[16:], task)
			copy(h[20:24], tag[:])
			binary.BigEndian.PutUint32(h[28:], i.status)
			binary.BigEndian.PutUint32(h[36:], uint32(at-from)/8192)
			binary.BigEndian.PutUint32(h[40:], uint32(at))
		}))
	}
}

// ready repeats a TEST UNIT READY until what the target wants to tell first
// (it was switched on) is told.
func (i *initiator) ready() {
	i.t.Helper()
	var err error
	for range 5 {
		if _, err = i.do(make([]byte, 16), nil, 0, 0); err == nil {
			return
		}
	}
	i.t.Fatalf("the unit is not ready: %v", err)
}

// capacity is the number of blocks, and their size.
func (i *initiator) capacity() (blocks, size uint32) {
	i.t.Helper()
	got, err := i.do([]byte{0x25}, nil, 0, 8)
	if err != nil || len(got) != 8 {
		i.t.Fatalf("capacity %x: %v", got, err)
	}
	return binary.BigEndian.Uint32(got) + 1, binary.BigEndian.Uint32(got[4:])
}

// write10 writes blocks of 512 bytes.
func (i *initiator) write10(lba uint32, data []byte, immediate int) error {
	cdb := make([]byte, 10)
	cdb[0] = 0x2a
	binary.BigEndian.PutUint32(cdb[2:], lba)
	binary.BigEndian.PutUint16(cdb[7:], uint16(len(data)/512))
	_, err := i.do(cdb, data, immediate, 0)
	return err
}

func (i *initiator) sync() error {
	_, err := i.do([]byte{0x35}, nil, 0, 0)
	return err
}

// discover asks for the targets, as sendtargets does, and returns the answer.
func discover(t *testing.T, addr string) string {
	t.Helper()
	i, err := dial(t, addr, "iqn.2026-01.test:discoverer", "SessionType=Discovery")
	if err != nil {
		t.Fatal(err)
	}
	i.send(build(byte(opText), 0x80, text("SendTargets=All"), func(h []byte) {
		binary.BigEndian.PutUint32(h[16:], 1)
		binary.BigEndian.PutUint32(h[20:], noTask)
		binary.BigEndian.PutUint32(h[24:], i.cmd)
		binary.BigEndian.PutUint32(h[28:], i.status)
	}))
	p, err := i.receive()
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.ReplaceAll(p.data(), []byte{0}, []byte{' '}))
}

func dialer(addr string) func(ctx context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	}
}
