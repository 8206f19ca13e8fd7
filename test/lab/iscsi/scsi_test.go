package iscsi

import (
	"encoding/hex"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJudgeCDB(t *testing.T) {
	type verdict struct {
		Kind   Kind
		Name   string
		LBA    uint64
		Blocks uint32
	}
	for _, test := range []struct {
		cdb  string // padded to 16 bytes
		want verdict
	}{
		{"0a1f00010800", verdict{Command, "WRITE(6)", 0x1f0001, 8}},
		{"0a0000100000", verdict{Command, "WRITE(6)", 0x10, 256}},
		{"2a0000000064000080", verdict{Command, "WRITE(10)", 100, 128}},
		{"aa0000000064000100000000", verdict{Command, "WRITE(12)", 100, 65536}},
		{"8a00000000010000000000000008", verdict{Command, "WRITE(16)", 1 << 32, 8}},
		{"2e0000000064000080", verdict{Command, "WRITE AND VERIFY(10)", 100, 128}},
		{"4100000000640000", verdict{Command, "WRITE SAME(10)", 100, 0}},
		{"93080000000000000064000000ff", verdict{Command, "WRITE SAME(16)", 100, 255}},
		{"42000000000000001800", verdict{Command, "UNMAP", 0, 0}},
		{"8900" + "0000000000000064" + "00000001", verdict{Command, "COMPARE AND WRITE", 100, 1}},
		{"9c00000000000000006400000008", verdict{Command, "WRITE ATOMIC(16)", 100, 8}},
		{"7f00000000000018" + "000b0000" + "0000000000000064" + "0000000000000000" + "00000008", verdict{Command, "WRITE(32)", 100, 8}},
		{"35", verdict{Sync, "SYNCHRONIZE CACHE(10)", 0, 0}},
		{"28000000006400008000", verdict{Name: "READ(10)"}},
		{"25", verdict{Name: "READ CAPACITY(10)"}},
	} {
		t.Run(test.want.Name, func(t *testing.T) {
			cdb, err := hex.DecodeString(test.cdb)
			if err != nil {
				t.Fatal(err)
			}
			cdb = append(cdb, make([]byte, max(0, 16-len(cdb)))...)
			does, at, err := judgeCDB(cdb)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, verdict{does.kind, does.name, at.lba, at.blocks}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestUnknownCommandsAreRefused(t *testing.T) {
	for name, cdb := range map[string][]byte{
		"EXTENDED COPY":        {0x83, 15: 0},
		"WRITE BUFFER":         {0x3b, 15: 0},
		"ATA PASS-THROUGH":     {0x85, 15: 0},
		"vendor's":             {0xc1, 15: 0},
		"long and unknown":     {0x7f, 9: 0xff, 31: 0},
		"WRITE(32), too short": {0x7f, 9: 0x0b, 15: 0},
	} {
		if does, _, err := judgeCDB(cdb); !errors.Is(err, errNotUnderstood) {
			t.Errorf("%s passes as %q: %v", name, does.name, err)
		}
	}
}
