package iscsi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// memory is a log that a test can look into, and break.
type memory struct {
	writes []Write
	before []int // bytes that had been forwarded when each was recorded
	to     *bytes.Buffer
	broken error
}

func (m *memory) record(w Write) (uint64, error) {
	if m.broken != nil {
		return 0, m.broken
	}
	w.Seq = uint64(len(m.writes)) + 1
	m.writes = append(m.writes, w)
	m.before = append(m.before, m.to.Len())
	return w.Seq, nil
}

// newConn is a connection whose login was answered with the given text.
func newConn(t testing.TB, answer ...string) (*conn, *memory, *bytes.Buffer) {
	t.Helper()
	to := &bytes.Buffer{}
	log := &memory{to: to}
	c := &conn{number: 1, log: log}
	asked := text("InitiatorName=iqn.test:a", "TargetName=iqn.test:t", "HeaderDigest=CRC32C,None", "DataDigest=CRC32C,None")
	if err := c.forwardUp(to, bytes.NewReader(build(byte(opLogin), transit|1<<2|fullFeaturePhase, asked, nil))); err != nil {
		t.Fatal(err)
	}
	if err := c.forwardDown(io.Discard, bytes.NewReader(build(byte(opLoginResponse), transit|1<<2|fullFeaturePhase, text(answer...), nil))); err != nil {
		t.Fatal(err)
	}
	if _, open := c.session.settled(); !open {
		t.Fatal("the login is not over")
	}
	to.Reset()
	return c, log, to
}

// write10 is a WRITE(10) of 512-byte blocks with its first data.
func write10(task uint32, lun byte, lba uint32, blocks uint16, data []byte) []byte {
	return build(byte(opCommand), 0xa0, data, func(h []byte) {
		h[9] = lun
		binary.BigEndian.PutUint32(h[16:], task)
		binary.BigEndian.PutUint32(h[20:], 512*uint32(blocks))
		h[32] = 0x2a
		binary.BigEndian.PutUint32(h[34:], lba)
		binary.BigEndian.PutUint16(h[39:], blocks)
	})
}

func dataOut(task uint32, final bool, data []byte) []byte {
	flags := byte(0)
	if final {
		flags = 0x80
	}
	return build(byte(opDataOut), flags, data, func(h []byte) { binary.BigEndian.PutUint32(h[16:], task) })
}

func TestWritesAreRecordedBeforeTheyGoOn(t *testing.T) {
	block := make([]byte, 512)
	c, log, to := newConn(t)
	var stream []byte
	starts := []int{}
	for _, p := range [][]byte{
		write10(1, 1, 10, 1, block),
		build(byte(opNopOut)|0x40, 0x80, []byte("ping!"), nil),
		write10(2, 2, 20, 4, block),
		dataOut(2, false, block), // not recorded: its sequence goes on
		dataOut(2, true, block),
		dataOut(2, true, block),
		build(byte(opLogout), 0x80, nil, nil),
	} {
		starts = append(starts, len(stream))
		stream = append(stream, p...)
	}
	if err := c.forwardUp(to, bytes.NewReader(stream)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(to.Bytes(), stream) {
		t.Error("the stream was changed")
	}
	if diff := cmp.Diff([]int{starts[0], starts[2], starts[4], starts[5]}, log.before); diff != "" {
		t.Error("recorded after so many forwarded bytes:", diff)
	}
	one := Write{Seq: 1, Kind: Command, Op: "WRITE(10)", Initiator: "iqn.test:a", Target: "iqn.test:t", ISID: "000000000000", Conn: 1, LUN: 1, LBA: 10, Blocks: 1}
	two := one
	two.Seq, two.LUN, two.LBA, two.Blocks = 2, 2, 20, 4
	three, four := two, two
	three.Seq, three.Kind, three.Of = 3, Data, 2
	four.Seq, four.Kind, four.Of = 4, Data, 2
	if diff := cmp.Diff([]Write{one, two, three, four}, log.writes); diff != "" {
		t.Error(diff)
	}
	if len(c.tasks) != 0 {
		t.Errorf("still waiting for data: %v", c.tasks)
	}
}

func TestNothingPassesUnseen(t *testing.T) {
	block := make([]byte, 512)
	command := func(edit func(h []byte)) []byte {
		return build(byte(opCommand), 0xa0, block, func(h []byte) {
			h[32] = 0x2a
			edit(h)
		})
	}
	for _, test := range []struct {
		name   string
		stream []byte
	}{
		{"unknown opcode", build(0x1c, 0x80, nil, nil)},
		{"login again", build(byte(opLogin), transit, nil, nil)},
		{"unknown command", command(func(h []byte) { h[32] = 0x83 })},
		{"LUN of two levels", command(func(h []byte) { h[10] = 1 })},
		{"extended LUN", command(func(h []byte) { h[8] = 0xc0 })},
		{"data of no task", dataOut(9, true, block)},
		{"data after the last", append(append(write10(1, 1, 0, 2, block), dataOut(1, true, block)...), dataOut(1, true, block)...)},
		{"no task tag", write10(noTask, 1, 0, 2, block)},
		{"oversized segment", build(byte(opNopOut), 0x80, nil, func(h []byte) { h[5] = 0x11 })},
		{"broken additional header", build(byte(opCommand), 0x80, make([]byte, 4), func(h []byte) { h[4], h[7], h[32] = 1, 0, 0x2a })},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, _, to := newConn(t)
			err := c.forwardUp(to, bytes.NewReader(test.stream))
			if !errors.Is(err, errNotUnderstood) {
				t.Errorf("forwarded: %v", err)
			}
			if to.Len() >= len(test.stream) {
				t.Error("all of it went on")
			}
		})
	}
}

func TestTooManyTasks(t *testing.T) {
	c, _, to := newConn(t)
	var stream []byte
	for task := range uint32(maxTasks + 1) {
		stream = append(stream, write10(task, 1, 0, 2, nil)...)
	}
	if err := c.forwardUp(to, bytes.NewReader(stream)); !errors.Is(err, errNotUnderstood) {
		t.Errorf("got %v", err)
	}
}

func TestNothingPassesABrokenLog(t *testing.T) {
	c, log, to := newConn(t)
	log.broken = errNotRecorded
	if err := c.forwardUp(to, bytes.NewReader(write10(1, 1, 0, 1, make([]byte, 512)))); !errors.Is(err, errNotRecorded) {
		t.Errorf("got %v", err)
	}
	if to.Len() > 0 {
		t.Error("the write went on")
	}
}

func TestNoCommandBeforeTheLogin(t *testing.T) {
	to := &bytes.Buffer{}
	c := &conn{log: &memory{to: to}}
	err := c.forwardUp(to, bytes.NewReader(write10(1, 1, 0, 1, make([]byte, 512))))
	if !errors.Is(err, errNotUnderstood) || to.Len() > 0 {
		t.Errorf("%d bytes went on: %v", to.Len(), err)
	}
}

func TestLogin(t *testing.T) {
	const normal = "InitiatorName=iqn.test:a\x00TargetName=iqn.test:t\x00"
	for _, test := range []struct {
		name   string
		asked  []string // one PDU each, all but the last with the continue bit
		answer string
		want   framing
		fails  bool
	}{
		{name: "plain", asked: []string{normal}},
		{name: "cut in the middle", asked: []string{normal[:9], normal[9:20], normal[20:]}},
		{name: "digest chosen", asked: []string{normal + "HeaderDigest=CRC32C,None\x00"}, answer: "HeaderDigest=CRC32C\x00", want: framing{header: true}},
		{name: "digest declined", asked: []string{normal + "DataDigest=CRC32C,None\x00"}, answer: "DataDigest=None\x00"},
		{name: "digest unknown", asked: []string{normal + "DataDigest=SHA1\x00"}, answer: "DataDigest=SHA1\x00", fails: true},
		{name: "digest unasked", asked: []string{normal}, answer: "DataDigest=CRC32C\x00", fails: true},
		{name: "nameless", asked: []string{"TargetName=iqn.test:t\x00"}, fails: true},
		{name: "targetless", asked: []string{"InitiatorName=iqn.test:a\x00"}, fails: true},
		{name: "discovery", asked: []string{"InitiatorName=iqn.test:a\x00SessionType=Discovery\x00"}},
		{name: "no key", asked: []string{"InitiatorName\x00"}, fails: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &conn{}
			var stream []byte
			for n, part := range test.asked {
				flags := byte(transit | 1<<2 | fullFeaturePhase)
				if n < len(test.asked)-1 {
					flags = goOn
				}
				stream = append(stream, build(byte(opLogin), flags, []byte(part), nil)...)
			}
			err := c.forwardUp(io.Discard, bytes.NewReader(stream))
			if err == nil {
				response := build(byte(opLoginResponse), transit|1<<2|fullFeaturePhase, []byte(test.answer), nil)
				err = c.forwardDown(io.Discard, bytes.NewReader(response))
			}
			if (err != nil) != test.fails {
				t.Errorf("error %v, want one: %v", err, test.fails)
			}
			got, open := c.session.settled()
			if open == test.fails || !test.fails && got != test.want {
				t.Errorf("framing %+v, open %v", got, open)
			}
		})
	}
}

func TestLoginTextIsBounded(t *testing.T) {
	c := &conn{}
	part := build(byte(opLogin), goOn, bytes.Repeat([]byte("x"), 8192), nil)
	err := c.forwardUp(io.Discard, bytes.NewReader(bytes.Repeat(part, 9)))
	if !errors.Is(err, errNotUnderstood) {
		t.Errorf("got %v", err)
	}
}

// FuzzForward feeds bytes to a connection that is logged in: what goes on is
// what came, and every command in it that a second, plain reading takes for a
// WRITE(10) is in the log.
func FuzzForward(f *testing.F) {
	block := make([]byte, 512)
	f.Add(write10(1, 1, 10, 1, block), false)
	f.Add(append(write10(2, 2, 20, 2, block), dataOut(2, true, block)...), false)
	f.Add(build(byte(opNopOut)|0x40, 0x80, []byte("ping!"), nil), true)
	f.Add(build(byte(opCommand), 0x80, []byte{0, 17, 1, 19: 8}, func(h []byte) { h[4], h[7], h[32] = 5, 0, 0x7f; h[41] = 0x0b }), false)
	f.Fuzz(func(t *testing.T, stream []byte, digests bool) {
		answer := "HeaderDigest=None"
		if digests {
			answer = "HeaderDigest=CRC32C"
		}
		c, log, to := newConn(t, answer)
		err := c.forwardUp(to, bytes.NewReader(stream))
		forwarded := to.Bytes()
		if !bytes.HasPrefix(stream, forwarded) {
			t.Fatal("the stream was changed")
		}
		if err == nil && len(forwarded) != len(stream) {
			t.Fatalf("%d of %d bytes went on without an error", len(forwarded), len(stream))
		}
		commands := 0
		for _, w := range log.writes {
			if w.Op == "WRITE(10)" && w.Kind == Command {
				commands++
			}
		}
		seen := 0
		for rest := forwarded; len(rest) >= 48; {
			if rest[0]&0x3f == 0x01 && rest[32] == 0x2a {
				seen++
			}
			n := 48 + 4*int(rest[4])
			if digests {
				n += 4
			}
			n += (int(rest[5])<<16 | int(rest[6])<<8 | int(rest[7]) + 3) &^ 3
			rest = rest[min(n, len(rest)):]
		}
		if seen > commands {
			t.Fatalf("%d WRITE(10) went on, %d are in the log", seen, commands)
		}
	})
}

// FuzzLogin feeds bytes to both directions of a new connection.
func FuzzLogin(f *testing.F) {
	f.Add(build(byte(opLogin), transit, text("InitiatorName=a", "TargetName=b"), nil),
		build(byte(opLoginResponse), transit|fullFeaturePhase, text("HeaderDigest=None"), nil))
	f.Fuzz(func(t *testing.T, up, down []byte) {
		toTarget, toInitiator := &bytes.Buffer{}, &bytes.Buffer{}
		c := &conn{log: &memory{to: toTarget}}
		_ = c.forwardUp(toTarget, bytes.NewReader(up))
		_ = c.forwardDown(toInitiator, bytes.NewReader(down))
		if !bytes.HasPrefix(up, toTarget.Bytes()) || !bytes.HasPrefix(down, toInitiator.Bytes()) {
			t.Fatal("a stream was changed")
		}
	})
}
