package block

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/picket-dev/picket/agent/teardown"
)

// claims returns the files in which the host names devices that it uses.
func claims() []string {
	return []string{
		"/etc/fstab", "/etc/crypttab", "/etc/ceph/rbdmap",
		"/etc/systemd/system/*.mount", "/etc/systemd/system/*.swap", "/etc/systemd/system/*.automount",
		"/run/udev/data/b*",
	}
}

// A claimant finds out which devices the host's files name.
type claimant struct {
	look  *look
	nodes []node
	// alias are the paths below /dev by which udev knows each device.
	alias map[teardown.Number][]string
	// property is what udev found on each device.
	property map[teardown.Number]map[string]string
}

// claim fills in Device.Host.
func (l *look) claim(nodes []node, files []file) {
	c := claimant{look: l, nodes: nodes, alias: make(map[teardown.Number][]string), property: make(map[teardown.Number]map[string]string)}
	for _, f := range files {
		if strings.HasPrefix(f.Path, "/run/udev/data/b") {
			c.readUdev(f)
		}
	}
	for _, f := range files {
		switch name := path.Base(f.Path); {
		case f.Path == "/etc/fstab":
			c.readTable(f, 0)
		case f.Path == "/etc/crypttab":
			c.readTable(f, 1)
		case f.Path == "/etc/ceph/rbdmap":
			c.readRBDMap(f)
		case strings.HasPrefix(f.Path, "/etc/systemd/system/") && name != "":
			c.readUnit(f)
		}
	}
	c.readSwaps()
	c.labels()
}

// readUdev reads what udev knows of a device; its file is named b8:16.
func (c *claimant) readUdev(f file) {
	n, err := parseNumber(strings.TrimPrefix(path.Base(f.Path), "b"))
	if err != nil {
		c.look.note(f.Path, err)
		return
	}
	c.property[n] = make(map[string]string)
	for line := range strings.Lines(string(f.Text)) {
		kind, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		switch kind {
		case "S":
			c.alias[n] = append(c.alias[n], rest)
		case "E":
			key, value, _ := strings.Cut(rest, "=")
			c.property[n][key] = value
		}
	}
}

// readTable reads the devices in a column of a table such as fstab.
func (c *claimant) readTable(f file, column int) {
	for line := range strings.Lines(string(f.Text)) {
		fields := strings.Fields(line)
		if len(fields) <= column || strings.HasPrefix(fields[0], "#") {
			continue // a line that ends early names no device, and the host's tools skip it
		}
		c.mark(unescape(fields[column]), f.Path)
	}
}

// readUnit reads what a unit of systemd mounts, or swaps on.
func (c *claimant) readUnit(f file) {
	for line := range strings.Lines(string(f.Text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && (key == "What" || key == "Where") {
			c.mark(strings.TrimSpace(value), f.Path)
		}
	}
}

// readRBDMap reads the images that the host maps when it boots.
func (c *claimant) readRBDMap(f file) {
	for line := range strings.Lines(string(f.Text)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		img := teardown.Image{Pool: "rbd"}
		parseSpec(fields[0], &img)
		for i, n := range c.nodes {
			mapped := n.Image
			mapped.Cluster = ""
			if mapped.Name != "" && mapped == img {
				c.host(i, f.Path)
			}
		}
	}
}

// readSwaps reads the devices that the host swaps to.
func (c *claimant) readSwaps() {
	text, _ := c.look.attr(c.look.proc("swaps"))
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[1] != "partition" {
			continue // the heading, or a file: its filesystem is mounted
		}
		name := unescape(fields[0])
		if !c.mark(name, "swap") {
			c.look.note("swap on "+name, errors.New("no such device"))
		}
	}
}

// overISCSI finds the target in the link by which udev knows a unit's place.
var overISCSI = regexp.MustCompile(`^/dev/disk/by-path/.*?-iscsi-(.+)-lun-\d+`)

// needs notes that the host itself uses a target, whether or not it has logged in: its
// records count as those of what the host boots from, and are left alone.
func (l *look) needs(target string) {
	l.targets = append(l.targets, target)
	for i, r := range l.inv.Records {
		if r.Target == target {
			l.inv.Records[i].Startup = "onboot"
		}
	}
}

// osd finds Ceph's OSDs among the names of logical volumes.
var osd = regexp.MustCompile(`^ceph--.*-osd--`)

// labels marks what the host's storage has labelled.
func (c *claimant) labels() {
	for i, n := range c.nodes {
		if c.property[n.Number]["ID_FS_TYPE"] == "ceph_bluestore" || osd.MatchString(n.Map) {
			c.host(i, "OSD of Ceph")
		}
	}
}

// host notes that something on the host names a device.
func (c *claimant) host(i int, who string) {
	if d := &c.nodes[i].Device; !slices.Contains(d.Host, who) {
		d.Host = append(d.Host, who)
	}
}

// mark notes all devices that a file's word for a device means, and reports
// whether there is one. It can be a path, or a tag such as UUID=.
func (c *claimant) mark(word, who string) bool {
	word = strings.Trim(word, `"`)
	if m := overISCSI.FindStringSubmatch(word); m != nil {
		c.look.needs(m[1])
	}
	tag, value, tagged := strings.Cut(word, "=")
	value = strings.Trim(value, `"`)
	property, dir := udevWords(tag)
	if !strings.HasPrefix(word, "/dev/") && !(tagged && dir != "") {
		return false
	}
	paths := []string{word}
	if tagged && dir != "" {
		paths = []string{"/dev/disk/" + dir + "/" + value, "/dev/disk/" + dir + "/" + strings.ToLower(value), "/dev/disk/" + dir + "/" + udevEscape(value)}
	}
	found := false
	names := c.resolve(paths)
	for i, n := range c.nodes {
		byTag := tagged && property != "" && value != "" && strings.EqualFold(c.property[n.Number][property], value)
		byPath := slices.ContainsFunc(paths, func(p string) bool { return c.named(n, p) })
		if byTag || byPath || slices.Contains(names, n.Name) {
			c.host(i, who)
			found = true
		}
	}
	if !found && tagged && len(c.property) == 0 && !exists(filepath.Join(c.look.host.Dev, "disk")) {
		c.look.note(word+" of "+who, errors.New("there is no udev that would say which device it is"))
	}
	return found
}

// udevWords returns the property, and the directory of links, that are udev's for
// a tag of fstab; nothing where it is none.
func udevWords(tag string) (property, dir string) {
	switch tag {
	case "UUID":
		return "ID_FS_UUID", "by-uuid"
	case "LABEL":
		return "ID_FS_LABEL", "by-label"
	case "PARTUUID":
		return "ID_PART_ENTRY_UUID", "by-partuuid"
	case "PARTLABEL":
		return "ID_PART_ENTRY_NAME", "by-partlabel"
	case "ID":
		return "", "by-id"
	}
	return "", ""
}

// named reports whether a path below /dev is a device's by the kernel's, udev's
// or device-mapper's rules.
func (c *claimant) named(n node, p string) bool {
	below := strings.TrimPrefix(p, "/dev/")
	if below == n.Name || slices.Contains(c.alias[n.Number], below) {
		return true
	}
	if n.Map == "" {
		return false
	}
	double := func(s string) string { return strings.ReplaceAll(s, "-", "--") }
	group, volume, _ := strings.Cut(below, "/")
	return below == "mapper/"+n.Map || n.Map == double(group)+"-"+double(volume)
}

// resolve follows the links in /dev, and returns the kernel's names.
func (c *claimant) resolve(paths []string) []string {
	dev, err := filepath.EvalSymlinks(c.look.host.Dev)
	if err != nil {
		c.look.note(c.look.host.Dev, err)
		return nil
	}
	var names []string
	for _, p := range paths {
		node, err := filepath.EvalSymlinks(filepath.Join(dev, strings.TrimPrefix(p, "/dev/")))
		if err != nil {
			continue // no such device now
		}
		if below, err := filepath.Rel(dev, node); err == nil {
			names = append(names, below)
		}
	}
	return names
}

// udevEscape writes a label as udev does in the names of links.
func udevEscape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c == ' ' || c == '/' || c == '\\' {
			fmt.Fprintf(&b, `\x%02x`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
