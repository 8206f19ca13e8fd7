package host

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A12: a boot that follows three boots within 30 min that ended armed stays
// unarmed.
func TestA12RebootBudget(t *testing.T) {
	type boot struct {
		after   time.Duration // since the boot before
		unarmed bool          // never armed, or unarmed again at its end
	}
	const minute = time.Minute
	tests := []struct {
		name  string
		boots []boot
		next  time.Duration
		spent bool
	}{
		{name: "first boot"},
		{name: "two armed ones", boots: []boot{{}, {after: minute}}, next: minute},
		{name: "three armed ones", boots: []boot{{}, {after: 5 * minute}, {after: 5 * minute}}, next: 5 * minute, spent: true},
		{name: "three armed ones in exactly 30 min", boots: []boot{{}, {after: 10 * minute}, {after: 10 * minute}}, next: 10 * minute, spent: true},
		{name: "three armed ones in more", boots: []boot{{}, {after: 10 * minute}, {after: 10 * minute}}, next: 10*minute + 1},
		{name: "one ended unarmed", boots: []boot{{}, {after: minute, unarmed: true}, {after: minute}}, next: minute},
		{name: "the last three count", boots: []boot{{unarmed: true}, {after: minute}, {after: minute}, {after: minute}}, next: minute, spent: true},
		{name: "more than are kept", boots: []boot{{}, {after: 40 * minute}, {after: 40 * minute}, {after: 40 * minute}, {after: 40 * minute},
			{after: 40 * minute}, {after: 40 * minute}, {after: 40 * minute}, {after: 40 * minute}, {after: 40 * minute}}, next: minute},
		{name: "clock went back", boots: []boot{{}, {after: minute}, {after: minute}}, next: -24 * time.Hour, spent: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := fakeHost(t, nil)
			now := noon
			for i, x := range tt.boots {
				now = now.Add(x.after)
				b := OpenBudget(c, fmt.Sprint("boot-", i), now)
				if b.Spent() != "" {
					t.Fatalf("boot %d is refused: %s", i, b.Spent())
				}
				if err := b.SetArmed(true); err != nil {
					t.Fatal(err)
				}
				if x.unarmed {
					if err := b.SetArmed(false); err != nil {
						t.Fatal(err)
					}
				}
			}
			b := OpenBudget(c, "boot-next", now.Add(tt.next))
			if (b.Spent() != "") != tt.spent {
				t.Fatalf("Spent() = %q, want spent = %v", b.Spent(), tt.spent)
			}
			if err := b.SetArmed(true); (err != nil) != tt.spent {
				t.Errorf("SetArmed(true) = %v", err)
			}
			// An agent that restarts an hour later is in the same boot.
			if again := OpenBudget(c, "boot-next", now.Add(time.Hour)); again.Spent() != b.Spent() {
				t.Errorf("after a restart, Spent() = %q, want %q", again.Spent(), b.Spent())
			}
			// The boot after one that stayed unarmed may arm again.
			if after := OpenBudget(c, "boot-after", now.Add(tt.next+time.Minute)); tt.spent && after.Spent() != "" {
				t.Errorf("the boot after an unarmed one is refused: %s", after.Spent())
			}
		})
	}
}

// Promise 2: a budget that is not known keeps the node unarmed, and the next
// boot starts afresh.
func TestA12DamagedBudgetKeepsTheNodeUnarmed(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "garbage": "\x00\x01", "truncated": `[{"boot":"boot-1",`,
		"no ID": `[{"began":"2026-03-01T12:00:00Z","armed":true}]`, "no beginning": `[{"boot":"boot-1"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			c := fakeHost(t, map[string]string{"var/lib/picket/boots.json": text})
			b := OpenBudget(c, "boot-2", noon)
			if !strings.Contains(b.Spent(), "not readable") {
				t.Errorf("Spent() = %q", b.Spent())
			}
			if err := b.SetArmed(true); err == nil {
				t.Error("SetArmed(true) has no error")
			}
			if again := OpenBudget(c, "boot-2", noon); again.Spent() != b.Spent() {
				t.Errorf("a restarted agent forgets: Spent() = %q", again.Spent())
			}
			if next := OpenBudget(c, "boot-3", noon.Add(time.Minute)); next.Spent() != "" {
				t.Errorf("the next boot is refused as well: %s", next.Spent())
			}
		})
	}
}

func TestA12BudgetThatCannotBeWrittenKeepsTheNodeUnarmed(t *testing.T) {
	c := fakeHost(t, map[string]string{"var/lib": "a file in the way"})
	b := OpenBudget(c, "boot-1", noon)
	if b.Spent() == "" {
		t.Error("the boot is not refused")
	}
	good := fakeHost(t, nil)
	b = OpenBudget(good, "boot-1", noon)
	if err := os.RemoveAll(good.path("var")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(good.path("var"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.SetArmed(true); err == nil {
			t.Error("SetArmed(true) is not on disk and has no error")
		}
	}
}

func FuzzParseBudget(f *testing.F) {
	f.Add([]byte(`[{"boot":"boot-1","began":"2026-03-01T12:00:00Z","armed":true,"spent":"x"}]`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		boots, err := parseBudget(data)
		if err == nil {
			judge(boots, noon)
		}
	})
}

// After a write that failed nobody knows what the disk says: the next word is written,
// whatever it is.
func TestA12BudgetIsWrittenAgainAfterAFailure(t *testing.T) {
	for _, first := range []bool{true, false} {
		c := fakeHost(t, nil)
		b := OpenBudget(c, "boot-1", noon)
		if err := b.SetArmed(!first); err != nil {
			t.Fatal(err)
		}
		path := c.path("var/lib/picket/boots.json")
		saved, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Remove(path), os.MkdirAll(path+"/in the way", 0o700)); err != nil {
			t.Fatal(err)
		}
		if err := b.SetArmed(first); err == nil {
			t.Error("SetArmed is not on disk and has no error")
		}
		// The rename may have come through all the same.
		flipped := strings.ReplaceAll(string(saved), fmt.Sprint(!first), fmt.Sprint(first))
		if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, []byte(flipped), 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := b.SetArmed(!first); err != nil {
			t.Fatal(err)
		}
		if boots, err := readBudget(path); err != nil || boots[0].Armed != !first {
			t.Errorf("the disk says %+v, %v, want armed %t", boots, err, !first)
		}
	}
}
