package hold

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/proto/timing"
)

var aRequest = Request{Seq: 7, Op: OpArm, Timeout: 10 * s, PetUntil: timing.Instant{Raw: 105 * s, Boot: 106 * s}}

var aReply = Reply{Seq: 7, Err: refuse(ErrRefused, "held by systemd (pid 1) — “take it”"), Status: Status{
	State:   Armed,
	Device:  watchdog.Facts{Driver: "iTCO_wdt", Identity: "iTCO_wdt", Kind: watchdog.KindHardware, Kappa: 2000, Min: 3 * s, Max: 614 * s, Nowayout: true},
	Timeout: 5 * s, PetDelay: s,
	PetUntil: timing.At(105 * s), LastPet: timing.At(103 * s), WorstDelay: 3 * ms, Pets: 12,
	Failing: true, Outlives: true, Stored: true, Locked: true, RealTime: true, Unkillable: true,
	Now: timing.At(104 * s), Boot: "98aff813-e2f5-4e3d-9d1c-79b6e0e8af9e", Version: "v1.2.3", LastError: "set timeout",
}}

func TestCodecRoundTrip(t *testing.T) {
	b := make([]byte, RequestSize)
	aRequest.Encode(b)
	got, err := DecodeRequest(b)
	if diff := cmp.Diff(aRequest, got); err != nil || diff != "" {
		t.Errorf("request: %v (-want +got):\n%s", err, diff)
	}
	for _, want := range []Reply{aReply, {}, {Status: Status{State: Coasting, Timeout: 300 * s}}, {Status: Status{State: Testing, Timeout: 8 * s}}} {
		b = bytes.Repeat([]byte{0xff}, ReplySize)
		want.Encode(b)
		got, err := DecodeReply(b)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("reply: %v (-want +got):\n%s", err, diff)
		}
	}
}

func TestRequestGarbageIsExplained(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func([]byte) []byte
		code  Code
		text  string
	}{
		"empty":          {func(b []byte) []byte { return nil }, ErrInvalid, "has 0 bytes, a request has 48"},
		"long":           {func(b []byte) []byte { return append(b, 0) }, ErrInvalid, "has 49 bytes"},
		"magic":          {func(b []byte) []byte { b[0] = 'G'; return b }, ErrInvalid, `begins with "GKTH"`},
		"version":        {func(b []byte) []byte { b[4] = 9; return b }, ErrVersion, "the agent speaks version 9"},
		"no operation":   {func(b []byte) []byte { b[5] = 0; return b }, ErrInvalid, "unknown operation 0"},
		"operation":      {func(b []byte) []byte { b[5] = 200; return b }, ErrInvalid, "unknown operation 200"},
		"negative time":  {func(b []byte) []byte { b[23] = 0x80; return b }, ErrInvalid, "a negative time"},
		"reserved bytes": {func(b []byte) []byte { b[47] = 1; return b }, ErrInvalid, "reserved"},
	} {
		t.Run(name, func(t *testing.T) {
			b := make([]byte, RequestSize)
			aRequest.Encode(b)
			_, err := DecodeRequest(c.spoil(b))
			if !errors.Is(err, c.code) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, want code %v with %q", err, c.code, c.text)
			}
		})
	}
}

func TestReplyGarbageIsExplained(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func([]byte) []byte
		text  string
	}{
		"empty":          {func([]byte) []byte { return nil }, "has 0 bytes, want 1536"},
		"short":          {func(b []byte) []byte { return b[1:] }, "has 1535 bytes"},
		"long":           {func(b []byte) []byte { return append(b, 0) }, "has 1537 bytes"},
		"magic":          {func(b []byte) []byte { b[0] = 'G'; return b }, `begins with "GKTR"`},
		"version":        {func(b []byte) []byte { b[4] = 9; return b }, "the holder speaks version 9"},
		"state":          {func(b []byte) []byte { b[5] = byte(lastState) + 1; return b }, "an unknown state"},
		"kind":           {func(b []byte) []byte { b[6] = 200; return b }, "an unknown state, kind"},
		"text, no error": {func(b []byte) []byte { b[7] = 0; return b }, "kind or error"},
		"flag":           {func(b []byte) []byte { b[16] = 0x80; return b }, "an unknown flag"},
		"negative time":  {func(b []byte) []byte { b[31] = 0x80; return b }, "a negative time"},
		"reserved bytes": {func(b []byte) []byte { b[ReplySize-1] = 1; return b }, "reserved"},
	} {
		t.Run(name, func(t *testing.T) {
			b := make([]byte, ReplySize)
			aReply.Encode(b)
			_, err := DecodeReply(c.spoil(b))
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, want %q", err, c.text)
			}
		})
	}
}

func TestTextIsCutBetweenCharacters(t *testing.T) {
	r := Reply{Status: Status{Version: strings.Repeat("é", versionText), LastError: "a\x00b\xff"}}
	b := make([]byte, ReplySize)
	r.Encode(b)
	got, err := DecodeReply(b)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("é", versionText/2); got.Status.Version != want {
		t.Errorf("version %q, want %q", got.Status.Version, want)
	}
	if want := "a?b?"; got.Status.LastError != want {
		t.Errorf("last error %q, want %q", got.Status.LastError, want)
	}
}

// sized makes a message of that size of b, cut or with zeros at its end. The
// fuzzer spends up to a minute on shortening each input that covers something
// new, and calls nothing else meanwhile. Where another length is covered by
// another error, that is in vain; tables test the lengths.
func sized(b []byte, size int) []byte {
	m := make([]byte, size)
	copy(m, b)
	return m
}

func FuzzDecodeRequest(f *testing.F) {
	b := make([]byte, RequestSize)
	aRequest.Encode(b)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		b = sized(b, RequestSize)
		q, err := DecodeRequest(b)
		if err != nil {
			if AsError(err).Code != ErrInvalid && AsError(err).Code != ErrVersion {
				t.Errorf("error %v has no code for a reply", err)
			}
			return
		}
		again := make([]byte, RequestSize)
		if q.Encode(again); !bytes.Equal(b, again) {
			t.Errorf("decoded % x, which encodes to % x", b, again)
		}
	})
}

// Most of a reply is room for text, so the fuzzer gets the beginning of one and
// a short text that lies anywhere in it.
func FuzzDecodeReply(f *testing.F) {
	b := make([]byte, ReplySize)
	aReply.Encode(b)
	const texts = 120 // where they begin
	for at := texts; at < ReplySize; at += errorText {
		f.Add(b[:texts], uint16(at), b[at:at+bootText])
	}
	f.Fuzz(func(t *testing.T, head []byte, at uint16, text []byte) {
		b := sized(head[:min(len(head), texts)], ReplySize)
		copy(b[int(at)%len(b):], text[:min(len(text), bootText)])
		r, err := DecodeReply(b)
		if err != nil {
			return
		}
		again := make([]byte, ReplySize)
		if r.Encode(again); !bytes.Equal(b, again) {
			t.Errorf("decoded %q, which encodes to %q", b, again)
		}
	})
}

func TestMarker(t *testing.T) {
	const boot = "98aff813-e2f5-4e3d-9d1c-79b6e0e8af9e"
	want := Record{State: Armed, Timeout: 10 * s, PetUntil: timing.Instant{Raw: 105 * s, Boot: 106 * s}}
	m := NewMarker(boot, Record{State: Idle})
	PutRecord(m, want)
	check := func(name string, m []byte, boot string, want Record, verdict Verdict) {
		t.Helper()
		got, v := ReadMarker(m, boot)
		if got != want || v != verdict {
			t.Errorf("%s: %v, %v; want %v, %v", name, got, v, want, verdict)
		}
	}
	check("ours", m, boot, want, Ours)
	check("other boot", m, "another", Record{}, OtherBoot)
	check("short", m[:MarkerSize-1], boot, Record{}, Corrupt)
	check("empty", nil, boot, Record{}, Corrupt)
	check("zeros", make([]byte, MarkerSize), boot, Record{}, Corrupt)
	for i := range m {
		spoiled := bytes.Clone(m)
		spoiled[i] ^= 0x40
		got, v := ReadMarker(spoiled, boot)
		inForce := i >= slotAt+8 && i < slotAt+8+40 // the first slot's record and sum
		switch {
		case v == Ours && got != want:
			t.Errorf("byte %d spoiled: believed %v", i, got)
		case inForce && v == Ours:
			t.Errorf("byte %d spoiled: not seen", i)
		}
	}
}

// A holder that is killed while it writes leaves the old record or the new
// one, at whatever store it was.
func TestMarkerKilledWhileWriting(t *testing.T) {
	before := Record{State: Armed, Timeout: 10 * s, PetUntil: timing.At(105 * s)}
	after := Record{State: Latched, Timeout: 10 * s, PetUntil: timing.At(105 * s)}
	old := NewMarker("boot", before)
	now := bytes.Clone(old)
	PutRecord(now, after)
	for n := 0; n <= MarkerSize; n += 8 {
		// The slots are written before the word that brings one into force.
		m := bytes.Clone(old)
		copy(m[slotAt+8:], now[slotAt+8:][:max(n-slotAt-8, 0)])
		if got, v := ReadMarker(m, "boot"); v != Ours || got != before {
			t.Errorf("killed at byte %d: %v, %v", n, got, v)
		}
	}
	if got, v := ReadMarker(now, "boot"); v != Ours || got != after {
		t.Errorf("written: %v, %v", got, v)
	}
}

func FuzzReadMarker(f *testing.F) {
	f.Add(NewMarker("boot", Record{State: Armed, Timeout: 10 * s, PetUntil: timing.At(105 * s)}))
	f.Add(NewMarker("boot", Record{State: Coasting, Timeout: 300 * s}))
	f.Add(NewMarker("boot", Record{State: Testing, Timeout: 8 * s}))
	f.Fuzz(func(t *testing.T, m []byte) {
		m = sized(m, MarkerSize)
		r, v := ReadMarker(m, "boot")
		if v != Ours {
			return
		}
		if r.State < Idle || r.State > lastState || r.Timeout < 0 || r.PetUntil.Raw < 0 || r.PetUntil.Boot < 0 {
			t.Errorf("believed %v", r)
		}
	})
}
