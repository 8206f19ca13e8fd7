package iscsi

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxTasks bounds the commands of one connection whose data has not all
// arrived. open-iscsi keeps 128 commands in flight.
const maxTasks = 4096

// recorder is the log, as a connection needs it.
type recorder interface {
	record(w Write) (uint64, error)
}

// A conn is one connection of an initiator, as the proxy sees it.
type conn struct {
	number  uint64
	opened  time.Duration
	log     recorder
	session session
	tasks   map[uint32]task // owned by forwardUp
}

// A task is a command that waits for data.
type task struct {
	write   Write // without Seq where nothing was recorded: a MODE SELECT, say
	missing int64 // bytes
}

// forwardUp carries PDUs from the initiator to the target, each recorded
// before it goes on. It returns nil at the end of the stream.
func (c *conn) forwardUp(to io.Writer, from io.Reader) error {
	c.tasks = make(map[uint32]task)
	reader := bufio.NewReader(from)
	var buffer []byte
	framed := func() framing { f, _ := c.session.settled(); return f }
	for {
		p, err := readPDU(reader, &buffer, framed)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("from the initiator: %w", err)
		}
		if err := c.witness(p); err != nil {
			return fmt.Errorf("from the initiator, PDU %x: %w", p.header(), err)
		}
		if _, err := to.Write(p.raw); err != nil {
			return fmt.Errorf("to the target: %w", err)
		}
	}
}

// forwardDown carries PDUs from the target to the initiator, which are of
// interest until the login is over.
func (c *conn) forwardDown(to io.Writer, from io.Reader) error {
	reader := bufio.NewReader(from)
	var buffer []byte
	for {
		if _, open := c.session.settled(); open {
			_, err := io.Copy(to, reader)
			return err
		}
		p, err := readPDU(reader, &buffer, func() framing { return framing{} })
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("from the target: %w", err)
		}
		if p.opcode() == opLoginResponse {
			if err := c.session.response(p); err != nil {
				return fmt.Errorf("from the target, PDU %x: %w", p.header(), err)
			}
		}
		if _, err := to.Write(p.raw); err != nil {
			return fmt.Errorf("to the initiator: %w", err)
		}
	}
}

// witness takes in a PDU of the initiator. An error means that it must not go
// on.
func (c *conn) witness(p pdu) error {
	if p.opcode() == opLogin {
		return c.session.request(p)
	}
	if _, open := c.session.settled(); !open {
		return fmt.Errorf("opcode %#x before the login is over: %w", byte(p.opcode()), errNotUnderstood)
	}
	switch p.opcode() {
	case opCommand:
		return c.command(p)
	case opDataOut:
		return c.dataOut(p)
	case opNopOut, opTaskRequest, opText, opLogout, opSNACK:
		return nil
	default:
		return fmt.Errorf("opcode %#x: %w", byte(p.opcode()), errNotUnderstood)
	}
}

// command records a SCSI command that writes, and remembers one whose data is
// yet to come.
func (c *conn) command(p pdu) error {
	cdb, err := p.cdb()
	if err != nil {
		return err
	}
	does, extent, err := judgeCDB(cdb)
	if err != nil {
		return err
	}
	w := Write{Kind: does.kind, Op: does.name, Conn: c.number, Opened: c.opened, LBA: extent.lba, Blocks: extent.blocks}
	if err := c.session.stamp(&w); err != nil {
		return err
	}
	if w.Kind != "" {
		if w.LUN, err = p.lun(); err != nil {
			return err
		}
		if w.Seq, err = c.log.record(w); err != nil {
			return err
		}
	}
	// The tag may be that of a command which ended without its data.
	delete(c.tasks, p.task())
	const withData = 0x20
	expected := int64(binary.BigEndian.Uint32(p.raw[20:]))
	missing := expected - int64(p.size)
	if p.flags()&withData == 0 || missing <= 0 {
		return nil
	}
	if p.task() == noTask || len(c.tasks) == maxTasks {
		return fmt.Errorf("%d commands wait for their data: %w", len(c.tasks), errNotUnderstood)
	}
	c.tasks[p.task()] = task{w, missing}
	return nil
}

// dataOut records the end of each sequence of data that a write gets after its
// command: only then does the target have something to carry out.
func (c *conn) dataOut(p pdu) error {
	t, ok := c.tasks[p.task()]
	if !ok {
		return fmt.Errorf("data for task %#x, which waits for none: %w", p.task(), errNotUnderstood)
	}
	t.missing -= int64(p.size)
	if t.missing <= 0 {
		delete(c.tasks, p.task())
	} else {
		c.tasks[p.task()] = t
	}
	if t.write.Kind != Command || !p.final() && t.missing > 0 {
		return nil
	}
	w := t.write
	w.Kind, w.Of = Data, t.write.Seq
	_, err := c.log.record(w)
	return err
}
