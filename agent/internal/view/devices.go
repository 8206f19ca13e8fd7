package view

import (
	"cmp"
	"fmt"
	"strings"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/screen"
)

// Devices shows what the host has of volumes, whose each device is, and whether it
// may stay. Wide shows the host's own devices, too, and every path whole.
func Devices(s *screen.Screen, r *peerv1.DevicesReply, wide bool) {
	health, wrong := JudgeDevices(r)
	var t rows
	t.add(r.GetNode(), screen.Cell{Text: strings.TrimSuffix(r.GetStorage()+": "+r.GetStorageMessage(), ": "), Tone: health.tone()})
	if r.GetFencedBoot() != "" {
		t.add("fence", fenceOf(r))
	}
	if !r.GetAttachedKnown() {
		t.add("attached", screen.Cell{Text: "unknown: " + cmp.Or(r.GetAttachedError(), "the API was not asked"), Tone: screen.Warn})
	}
	if l := r.GetLast(); l != nil {
		t.add("rejoin", lastRun(l))
	}
	for _, u := range r.GetUnread() {
		t.add("unread", screen.Cell{Text: u.GetWhat() + ": " + u.GetWhy(), Tone: screen.Warn})
	}
	for _, c := range r.GetStuck() {
		t.add("hangs", screen.Cell{Text: fmt.Sprintf("a child of the agent (%s, process %d) in the kernel, for %s", c.GetWork(), c.GetPid(), since(c.GetAge())), Tone: screen.Bad})
	}
	for _, w := range wrong {
		t.add("look at", screen.Cell{Text: w, Tone: health.tone()})
	}
	if wide {
		t.add("took", screen.Say(fmt.Sprintf("%s to look, %s to ask the API; the core's loop was at most %s late since the agent started",
			trip(r.GetLookTook()), trip(r.GetAskTook()), trip(r.GetWorstLoopDelay()))))
	}
	s.Table(t.Table)
	s.Space()
	tree(s, r, wide)
}

// fenceOf says which boot was fenced, and what that means for this one.
func fenceOf(r *peerv1.DevicesReply) screen.Cell {
	if r.GetFencedBoot() != r.GetBootId() {
		return screen.Say("of the boot before this one: what has moved since must go before the node is welcome again")
	}
	return screen.Cell{Text: "of this very boot, which did not reset; rejoin: " + r.GetRejoin(), Tone: screen.Bad}
}

// lastRun says how the last rejoin went.
func lastRun(l *peerv1.RejoinRun) screen.Cell {
	if l.GetTook() == nil {
		return screen.Cell{Text: "under way for " + since(l.GetAge()), Tone: screen.Warn}
	}
	text := fmt.Sprintf("%s ago: %s after %s in %s, the core's loop at most %s late",
		since(l.GetAge()), l.GetState(), screen.Count(len(l.GetDone()), "step", "steps"), exact(l.GetTook()), trip(l.GetWorstLoopDelay()))
	c := screen.Say(text)
	if l.GetState() == "Clean" {
		c.Tone = screen.Good
	}
	if l.GetError() != "" {
		c = screen.Cell{Text: text + ": " + l.GetError(), Tone: screen.Bad}
	}
	return c
}

// JudgeDevices returns how the node's storage stands, and what is wrong.
func JudgeDevices(r *peerv1.DevicesReply) (Health, []string) {
	var wrong []string
	count := map[string]int{}
	each(r.GetItems(), func(i *peerv1.DeviceItem) {
		if i.GetKind() != "session" && !i.GetAgain() {
			count[i.GetStanding()]++
		}
	})
	if n := count["Stale"]; n > 0 {
		wrong = append(wrong, screen.Count(n, "thing is", "things are")+" left of volumes that have moved: --plan shows what would be done")
	}
	if n := count["Stuck"]; n > 0 {
		wrong = append(wrong, screen.Count(n, "thing", "things")+" can be neither left nor torn down: --plan shows why")
	}
	if !r.GetAttachedKnown() {
		wrong = append(wrong, "whether anything has moved is not known without the API")
	}
	if len(r.GetUnread()) > 0 {
		wrong = append(wrong, screen.Count(len(r.GetUnread()), "thing", "things")+" could not be read: whatever it is may be a volume that has moved")
	}
	if len(r.GetStuck()) > 0 {
		wrong = append(wrong, screen.Count(len(r.GetStuck()), "child hangs", "children hang")+" in the kernel")
	}
	if r.GetFencedBoot() != "" && r.GetStorage() != "Clean" {
		wrong = append(wrong, "the node was fenced, and is not clean yet")
	}
	if len(wrong) > 0 {
		return Degraded, wrong
	}
	return Fine, nil
}

// each visits all items of a tree.
func each(items []*peerv1.DeviceItem, visit func(*peerv1.DeviceItem)) {
	for _, i := range items {
		visit(i)
		each(i.GetItems(), visit)
	}
}
