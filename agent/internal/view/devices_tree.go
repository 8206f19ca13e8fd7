package view

import (
	"slices"
	"strings"
	"unicode/utf8"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/screen"
)

// tree shows the items, each below what it lies on.
func tree(s *screen.Screen, r *peerv1.DevicesReply, wide bool) {
	t := Columns{Of: []Column{
		{Head: "DEVICE"}, {Head: "OWNER", Rank: 3}, {Head: "STATE"}, {Head: "VOLUME", Rank: 1},
		{Head: "CLAIM", Rank: 4}, {Head: "PODS", Rank: 5}, {Head: "WHY", Rank: 2, Least: 16},
	}}
	hidden := 0
	for _, i := range r.GetItems() {
		if !wide && hosts(i) {
			hidden++
			continue
		}
		branch(&t, i, 0, wide)
	}
	if len(t.rows) == 0 {
		s.Line(screen.Cell{Text: "there are no volumes", Tone: screen.Good})
	} else {
		t.Show(s)
	}
	if hidden > 0 {
		s.Line(screen.Cell{Text: screen.Count(hidden, "tree", "trees") + " of the host's own left out; -o wide shows them", Tone: screen.Dim})
	}
}

// hosts reports whether all of a tree is the host's own, and nothing is wrong.
func hosts(i *peerv1.DeviceItem) bool {
	own := true
	each([]*peerv1.DeviceItem{i}, func(i *peerv1.DeviceItem) {
		own = own && i.GetOwner() == "Host" && i.GetStanding() == "Unclaimed"
	})
	return own
}

// branch adds an item and what lies above it. What it lies on has said already
// whose it is, and why: only what differs is said again.
func branch(t *Columns, i *peerv1.DeviceItem, depth int, wide bool) {
	why := i.GetWhy()
	switch {
	case i.GetAgain():
		why = "as above"
	case wide && i.GetAttachment() != "":
		why += ": " + i.GetAttachment()
	}
	t.Add(screen.Say(strings.Repeat("  ", depth)+name(i, wide)), screen.Say(i.GetOwner()), standingOf(i.GetStanding()), screen.Say(i.GetVolume()),
		screen.Say(i.GetClaim()), screen.Say(strings.Join(i.GetPods(), ", ")), screen.Say(why))
	for _, above := range i.GetItems() {
		branch(t, above, depth+1, wide)
	}
}

// name is what an item is called, short where there is little room.
func name(i *peerv1.DeviceItem, wide bool) string {
	of, about := i.GetName(), i.GetAbout()
	if !wide {
		switch i.GetKind() {
		case "mount":
			of = tail(of)
		case "session":
			if n := strings.LastIndex(of, ":"); n >= 0 {
				of = "…" + of[n:]
			}
			of = clip(of, 20)
		}
		about = clip(about, 26)
	}
	if about != "" {
		about = " (" + about + ")"
	}
	return i.GetKind() + " " + of + about
}

// standingOf is a standing, and how it looks.
func standingOf(standing string) screen.Cell {
	c := screen.Say(standing)
	switch standing {
	case "Rightful":
		c.Tone = screen.Good
	case "Stale", "Unknown":
		c.Tone = screen.Warn
	case "Stuck":
		c.Tone = screen.Bad
	}
	return c
}

// tail is the end of a path, by which people tell mounts apart.
func tail(path string) string {
	parts := strings.Split(path, "/")
	if len(parts) <= 3 {
		return path
	}
	parts = slices.Clone(parts[len(parts)-2:])
	for i := range parts {
		parts[i] = clip(parts[i], 16)
	}
	return "…/" + strings.Join(parts, "/")
}

// clip shortens a word that is too long.
func clip(word string, most int) string {
	if utf8.RuneCountInString(word) <= most {
		return word
	}
	return string([]rune(word)[:most-1]) + "…"
}
