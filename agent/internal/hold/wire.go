package hold

import (
	"bytes"
	"encoding/binary"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/picket-dev/picket/proto/timing"
)

// Protocol is the version of the messages and of the marker. A holder outlives
// the agents that talk to it, so a new agent must still speak it. An operation
// or a state more is no new version: an older holder refuses the one by
// ErrInvalid, and neither pings nor resets for a marker with the other.
const Protocol = 1

// A writer fills a message of fixed size from front to back.
type writer struct{ b []byte }

func (w *writer) next(n int) []byte {
	field := w.b[:n]
	w.b = w.b[n:]
	return field
}

func (w *writer) u8(v uint8)               { w.next(1)[0] = v }
func (w *writer) u32(v uint32)             { binary.LittleEndian.PutUint32(w.next(4), v) }
func (w *writer) u64(v uint64)             { binary.LittleEndian.PutUint64(w.next(8), v) }
func (w *writer) duration(d time.Duration) { w.u64(uint64(d)) }
func (w *writer) instant(t timing.Instant) { w.duration(t.Raw); w.duration(t.Boot) }
func (w *writer) flags(v ...bool) {
	var bits uint8
	for i, set := range v {
		if set {
			bits |= 1 << i
		}
	}
	w.u8(bits)
}

// text writes s in n bytes, padded with NUL. A longer s is cut between two
// characters; what is not UTF-8, and NUL, becomes '?'.
func (w *writer) text(s string, n int) {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "?")
	for len(s) > n {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	field := w.next(n)
	clear(field[copy(field, s):])
}

// A reader takes such a message apart. bad is the first thing that no writer
// writes.
type reader struct {
	b   []byte
	bad string
}

func (r *reader) next(n int) []byte {
	field := r.b[:n]
	r.b = r.b[n:]
	return field
}

func (r *reader) fail(what string) {
	if r.bad == "" {
		r.bad = what
	}
}

func (r *reader) u8() uint8   { return r.next(1)[0] }
func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.next(4)) }
func (r *reader) u64() uint64 { return binary.LittleEndian.Uint64(r.next(8)) }

func (r *reader) duration() time.Duration {
	d := time.Duration(r.u64())
	if d < 0 {
		r.fail("a negative time")
	}
	return d
}

func (r *reader) instant() timing.Instant {
	raw := r.duration()
	return timing.Instant{Raw: raw, Boot: r.duration()}
}

func (r *reader) flags(v ...*bool) {
	bits := r.u8()
	for i, set := range v {
		*set = bits&(1<<i) != 0
	}
	if bits>>len(v) != 0 {
		r.fail("an unknown flag")
	}
}

func (r *reader) text(n int) string {
	s, rest, _ := bytes.Cut(r.next(n), []byte{0})
	if !utf8.Valid(s) || len(bytes.Trim(rest, "\x00")) != 0 {
		r.fail("text that is not UTF-8 padded with NUL")
	}
	return string(s)
}
