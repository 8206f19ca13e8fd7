package teardown

import (
	"fmt"
	"slices"
	"strings"
)

// An Item is a line of the tree of what the host has: an iSCSI session, a device
// or a mount, with what lies above it.
type Item struct {
	Kind  string `json:"kind"`            // session, mount, or the kind of a device
	Name  string `json:"name"`            // session's target, device's name, mount point
	About string `json:"about,omitempty"` // portal, map, file system: what tells it from others like it
	// Again says that the device was listed before, with what is above it: it
	// lies on more than one other.
	Again bool `json:"again,omitempty"`

	Owner    Owner    `json:"owner"`
	Standing Standing `json:"standing"`
	Volume   string   `json:"volume,omitempty"` // PersistentVolume, or the best name there is
	Claim    string   `json:"claim,omitempty"`  // namespace/name of its PVC
	Pods     []string `json:"pods,omitempty"`   // UIDs of those that use it
	// Attachment is what holds the volume for attached to this node: its
	// VolumeAttachment, in whatever state, or the Node's volumesAttached.
	Attachment string `json:"attachment,omitempty"`

	Steps []int  `json:"steps,omitempty"` // of the plan that concern this item, as indices
	Why   string `json:"why"`             // it is whose it is, and stays or goes
	Items []Item `json:"items,omitempty"`
}

// A Standing is how a thing stands to what the API says.
type Standing int

// The standings.
const (
	StandingUnknown Standing = iota // what the API says could not be read
	Unclaimed                       // no volume is known for it
	Rightful                        // its volume is attached to this node, or may be used here
	Stale                           // its volume has moved: it is torn down
	Stuck                           // it can be neither left nor torn down
)

// String returns the standing's name.
func (s Standing) String() string {
	switch s {
	case Unclaimed:
		return "Unclaimed"
	case Rightful:
		return "Rightful"
	case Stale:
		return "Stale"
	case Stuck:
		return "Stuck"
	case StandingUnknown:
	}
	return "Unknown"
}

// kinds are the names of the kinds of devices.
func kinds() []string {
	return []string{
		KindUnknown: "unknown", Disk: "disk", MD: "md", DRBD: "drbd", Other: "other", ISCSI: "iscsi", RBD: "rbd",
		NBD: "nbd", NVMeFabric: "nvme", Partition: "partition", Multipath: "multipath", Crypt: "crypt",
		LogicalVolume: "lv", Linear: "linear", Loop: "loop",
	}
}

// String returns the kind's name.
func (k Kind) String() string {
	if all := kinds(); k >= 0 && int(k) < len(all) {
		return all[k]
	}
	return kinds()[KindUnknown]
}

// MarshalText returns the operation's name, and so do those of the other enums.
func (o Op) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what MarshalText has written.
func (o *Op) UnmarshalText(text []byte) error {
	for i, op := range ops() {
		if op.name == string(text) {
			*o = Op(i)
			return nil
		}
	}
	return fmt.Errorf("read an operation: there is none called %q", text)
}

// MarshalText returns the kind's name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// MarshalText returns the owner's name.
func (o Owner) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// MarshalText returns the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalText returns the standing's name.
func (s Standing) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// tree returns what the host has, from the bottom: sessions with their disks,
// other disks, and mounts without a device.
func (h *host) tree(steps []Step) []Item {
	t := treeOf{host: h, steps: steps, seen: map[Number]bool{}}
	var items []Item
	for _, session := range h.Sessions {
		items = append(items, t.session(session))
	}
	for _, s := range h.stacks {
		for _, d := range h.leaves(s) {
			if !t.seen[d.Number] {
				items = append(items, t.device(d))
			}
		}
		if len(s.devices) == 0 && len(s.volumes) > 0 {
			items = append(items, t.mounts(s, func(Mount) bool { return true })...)
		}
	}
	return items
}

// A treeOf is a tree that is being drawn.
type treeOf struct {
	host  *host
	steps []Step
	seen  map[Number]bool // devices that were listed
}

// indices returns which steps match.
func (t treeOf) indices(match func(Step) bool) []int {
	var found []int
	for i, s := range t.steps {
		if match(s) {
			found = append(found, i)
		}
	}
	return found
}

func (t treeOf) session(session Session) Item {
	h := t.host
	item := Item{
		Kind: "session", Name: session.Target, About: fmt.Sprintf("%s, session %s", session.Portal, session.ID),
		Steps: t.indices(func(s Step) bool {
			return s.Session == session.ID || s.Op == SetManual && s.Target == session.Target && s.Portal == session.Portal
		}),
	}
	for _, d := range h.Devices {
		if d.Kind == ISCSI && d.Session == session.ID {
			item.Items = append(item.Items, t.device(d))
		}
	}
	item.Owner, item.Standing = OwnerNobody, Unclaimed
	for _, below := range item.Items {
		if below.Owner == OwnerKubernetes {
			item.Owner = OwnerKubernetes
		}
		item.Standing = max(item.Standing, min(below.Standing, Rightful))
	}
	_, alone := h.exclusive(session)
	switch {
	case session.Boot:
		item.Owner, item.Why = OwnerHost, "the host boots with it, or names it"
	case h.servesHost(session.ID):
		item.Owner, item.Why = OwnerHost, "a disk of the host comes over it"
	case alone && len(item.Items) == 0:
		item.Owner, item.Standing, item.Why = OwnerKubernetes, Stale, "all that is known to come over it has moved"
	case alone:
		item.Standing, item.Why = Stale, "all that comes over it has moved"
	case len(session.Others) > 0:
		item.Why = "it serves " + strings.Join(session.Others, ", ") + ", too"
	case item.Owner == OwnerKubernetes:
		item.Why = "not all that comes over it is torn down"
	default:
		item.Why = "no volume is known for it"
	}
	return item
}

func (t treeOf) device(d Device) Item {
	s := t.host.stackOf[d.Number]
	item := Item{
		Kind: d.Kind.String(), Name: d.Name, About: about(d), Again: t.seen[d.Number],
		Steps: t.indices(func(s Step) bool { return s.Device == d.Number && s.Mount == 0 }),
	}
	t.stand(&item, s)
	if item.Again {
		return item
	}
	t.seen[d.Number] = true
	for _, n := range t.host.holders[d.Number] {
		item.Items = append(item.Items, t.device(t.host.device[n]))
	}
	item.Items = append(item.Items, t.mounts(s, func(m Mount) bool { return t.host.numberOf(m) == d.Number })...)
	return item
}

// about returns what tells a device from others.
func about(d Device) string {
	switch {
	case d.Image.Name != "":
		about := d.Image.Pool + "/"
		if d.Image.Namespace != "" {
			about += d.Image.Namespace + "/"
		}
		about += d.Image.Name
		if d.Image.Snapshot != "" {
			about += "@" + d.Image.Snapshot
		}
		return about
	case d.Map != "":
		return d.Map
	case d.NQN != "":
		return d.NQN
	case d.Kind == ISCSI:
		return fmt.Sprintf("LUN %d", d.LUN)
	}
	return d.WWID
}

// mounts returns items for the stack's mounts that match: all that the host's
// own namespace shows, and those that a volume has elsewhere.
func (t treeOf) mounts(s *stack, match func(Mount) bool) []Item {
	h := t.host
	var hosts []Mount
	for _, m := range s.mounts {
		if h.first(m) == 1 {
			hosts = append(hosts, m)
		}
	}
	var items []Item
	for _, m := range s.mounts {
		echo := func(of Mount) bool { return h.propagates(of, m) }
		if !match(m) || h.first(m) == 0 && (len(s.volumes) == 0 || slices.ContainsFunc(hosts, echo)) {
			continue
		}
		item := Item{Kind: "mount", Name: m.Point, About: m.FS}
		t.stand(&item, s)
		if p, ok := placeOf(h.Roots, m.Point); ok && p.pod != "" {
			item.Pods = []string{p.pod}
		} else if ns := h.namespace[m.Namespace]; h.ofPods(ns) {
			item.Pods = slices.Clone(ns.Pods)
		} else {
			item.Pods = nil
		}
		item.Steps = t.indices(func(s Step) bool {
			return s.Mount == m.ID && s.Mount != 0 || s.Pod != "" && slices.Contains(item.Pods, s.Pod)
		})
		items = append(items, item)
	}
	return items
}

// stand says whose the item of that stack is, and why it stays or goes.
func (t treeOf) stand(item *Item, s *stack) {
	item.Owner, item.Pods, item.Standing = s.owner(), slices.Clone(s.pods), Unclaimed
	var reason string
	for _, v := range s.volumes {
		stale, why := v.stale()
		if item.Volume != "" && !stale {
			continue
		}
		item.Volume, item.Claim, item.Attachment, item.Standing, reason = v.name(), v.claim, v.held, Rightful, why
		if stale {
			break
		}
	}
	switch {
	case len(s.blockers) > 0:
		item.Standing, item.Why = Stuck, s.blockers[0]
	case len(s.host) > 0:
		item.Why = s.host[0]
	case len(s.volumes) > 0 && !t.host.api.Known:
		item.Standing, item.Why = StandingUnknown, "what is attached to this node could not be read"
	case s.stale:
		item.Standing, item.Why = Stale, reason
	case len(s.volumes) > 0:
		item.Why = reason
	default:
		item.Why = "no volume is known for it, and nothing uses it"
	}
}
