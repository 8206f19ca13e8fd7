package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

const (
	// After budgetBoots boots within budgetWindow that ended armed, the next
	// one stays unarmed: whatever resets the node, a fourth reset will not
	// cure it.
	budgetBoots  = 3
	budgetWindow = 30 * time.Minute

	keepBoots = 8
)

// A Budget limits how often a node may reset itself (A12). It is a record on
// disk of the last boots and of whether they were armed when they ended.
//
// Trouble with the record keeps the node unarmed for this boot, and says so: a
// budget that cannot be read or written limits nothing, and an unarmed node is
// never reset (DESIGN §1, promise 2). A damaged record is replaced, so that
// the next boot starts afresh.
//
// The window is measured by the wall clock, the only one that outlives a boot.
// A clock that went back makes boots count that may be long past; that errs
// towards unarmed as well.
//
// A Budget is not for concurrent use, but for Spent.
type Budget struct {
	path  string
	spent string       // of the present boot; it never changes
	boots []bootRecord // the last one is the present boot
	torn  bool         // the last write failed: nobody knows what the disk says
}

// A bootRecord is one boot.
type bootRecord struct {
	Boot  string    `json:"boot"`
	Began time.Time `json:"began"` // when the agent first started in it
	Armed bool      `json:"armed"` // so far, or when it ended
	Spent string    `json:"spent,omitempty"`
}

// OpenBudget records the present boot, unless it is recorded already, and
// judges it by those before. It writes to disk and can block as long as the
// disk does.
func OpenBudget(c Config, boot string, now time.Time) *Budget {
	b := &Budget{path: c.path(c.State, "boots.json")}
	boots, trouble := readBudget(b.path)
	if n := len(boots); n > 0 && boots[n-1].Boot == boot {
		b.boots, b.spent = boots, boots[n-1].Spent
		return b
	}
	record := bootRecord{Boot: boot, Began: now, Spent: judge(boots, now)}
	if trouble != nil {
		record.Spent = fmt.Sprintf("the record of earlier boots was not readable and starts afresh: %v", trouble)
	}
	b.boots = append(boots, record)
	if err := b.write(); err != nil {
		b.present().Spent = fmt.Sprintf("this boot cannot be recorded: %v", err)
	}
	b.spent = b.present().Spent
	return b
}

// Spent returns why this boot must stay unarmed, or nothing.
func (b *Budget) Spent() string { return b.spent }

// SetArmed records on disk whether this boot is armed. It must be true before
// the node arms: with an error, or where the budget is spent, the node must
// stay unarmed. It can block as long as the disk does.
func (b *Budget) SetArmed(armed bool) error {
	if armed && b.Spent() != "" {
		return fmt.Errorf("reboot budget: %s", b.Spent())
	}
	if b.present().Armed == armed && !b.torn {
		return nil
	}
	b.present().Armed = armed
	err := b.write()
	if b.torn = err != nil; b.torn {
		return fmt.Errorf("reboot budget: %w", err)
	}
	return nil
}

func (b *Budget) present() *bootRecord { return &b.boots[len(b.boots)-1] }

func (b *Budget) write() error {
	b.boots = b.boots[max(0, len(b.boots)-keepBoots):]
	data, err := json.MarshalIndent(b.boots, "", "  ")
	if err != nil {
		return fmt.Errorf("encode record of boots: %w", err)
	}
	return replace(b.path, append(data, '\n'), true)
}

// judge returns why a boot that begins now, after the others, must stay
// unarmed, or nothing.
func judge(before []bootRecord, now time.Time) string {
	if len(before) < budgetBoots {
		return ""
	}
	last := before[len(before)-budgetBoots:]
	if slices.ContainsFunc(last, func(r bootRecord) bool { return !r.Armed || now.Sub(r.Began) > budgetWindow }) {
		return ""
	}
	return fmt.Sprintf("the last %d boots ended armed within %v (the first began at %s); find the cause, then reboot once more",
		budgetBoots, budgetWindow, last[0].Began.UTC().Format(time.RFC3339))
}

// readBudget returns the boots on record, oldest first.
func readBudget(path string) ([]bootRecord, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	boots, err := parseBudget(data)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", path, err)
	}
	return boots, nil
}

func parseBudget(data []byte) ([]bootRecord, error) {
	var boots []bootRecord
	if err := json.Unmarshal(data, &boots); err != nil {
		return nil, err
	}
	for _, r := range boots {
		if r.Boot == "" || r.Began.IsZero() {
			return nil, errors.New("a boot lacks its ID or its beginning")
		}
	}
	return boots, nil
}
