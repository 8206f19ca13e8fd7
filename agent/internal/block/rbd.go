package block

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/picket-dev/picket/agent/teardown"
)

// rbds fills in what krbd has mapped. It leaves config_info alone, which shows
// the key in clear, and what the kernel may have to ask the cluster for.
func (l *look) rbds(nodes []node) []node {
	byNumber := make(map[teardown.Number]int)
	for i, n := range nodes {
		byNumber[n.Number] = i
	}
	named := make(map[teardown.Number]bool)
	for _, id := range numbers0(l.names(l.sys("bus/rbd/devices"))) {
		d, err := l.rbd(id)
		if err != nil {
			l.note(fmt.Sprintf("rbd device %d", id), err)
			continue
		}
		named[d.Number] = true
		if i, ok := byNumber[d.Number]; ok && nodes[i].Kind == teardown.RBD {
			d.Name, d.InFlight = nodes[i].Name, nodes[i].InFlight
			nodes[i].Device = d
			continue
		}
		// Its block device is gone already, and the mapping is not.
		d.Cut = true
		nodes = append(nodes, node{Device: d})
	}
	for i, n := range nodes {
		if n.Kind == teardown.RBD && !named[n.Number] {
			nodes[i].Kind = teardown.KindUnknown
			l.noteDevice(n.Number, "image that "+n.Name+" maps", errors.New("the rbd bus does not list it"))
		}
	}
	return nodes
}

// rbd reads one mapping.
func (l *look) rbd(id int) (teardown.Device, error) {
	dir := l.sys("bus/rbd/devices", strconv.Itoa(id))
	text := func(name string) string { t, _ := l.attr(filepath.Join(dir, name)); return t }
	d := teardown.Device{Name: fmt.Sprintf("rbd%d", id), Kind: teardown.RBD, ID: id, InFlight: -1}
	number, err := parseNumber(text("major") + ":" + text("minor"))
	if err != nil {
		return d, err
	}
	d.Number = number
	d.Client, err = parseClient(text("cluster_fsid"), text("client_id"))
	if err != nil {
		return d, err
	}
	d.Image = l.image(dir)
	if d.Image.Pool == "" || d.Image.Name == "" {
		return d, errors.New("it has no pool, or no name")
	}
	return d, nil
}

// image reads which image is mapped, in the mapping's directory.
func (l *look) image(dir string) teardown.Image {
	text := func(name string) string { t, _ := l.attr(filepath.Join(dir, name)); return t }
	i := teardown.Image{
		Cluster: text("cluster_fsid"), Pool: text("pool"), Namespace: text("pool_ns"),
		Name: text("name"), Snapshot: text("current_snap"),
	}
	if i.Snapshot == "-" { // krbd's word for the image itself
		i.Snapshot = ""
	}
	return i
}

// parseClient reads krbd's word for its client: client4123.
func parseClient(fsid, id string) (teardown.Client, error) {
	number, ok := strings.CutPrefix(id, "client")
	n, err := strconv.ParseUint(number, 10, 64)
	if !ok || err != nil {
		return teardown.Client{}, fmt.Errorf("no client of Ceph: %.80q", id)
	}
	return teardown.Client{Cluster: fsid, ID: n}, nil
}

// clients lists the instances of libceph that debugfs shows, but those of
// CephFS. An instance of krbd can outlive the mapping that it was made for.
func (l *look) clients() {
	l.inv.Clients, l.inv.ClientsKnown = []teardown.Client{}, true
	if !exists(l.sys("module/libceph")) && !exists(l.sys("bus/rbd")) {
		return
	}
	root := l.sys("kernel/debug/ceph")
	entries, err := os.ReadDir(root)
	if err != nil { // debugfs is not mounted, or locked down
		l.inv.Clients, l.inv.ClientsKnown = nil, false
		return
	}
	for _, e := range entries {
		dir := filepath.Join(root, e.Name())
		if exists(filepath.Join(dir, "mdsc")) {
			continue
		}
		fsid, id, _ := strings.Cut(e.Name(), ".")
		c, err := parseClient(fsid, id)
		if err != nil {
			l.inv.ClientsKnown = false
			continue
		}
		l.inv.Clients = append(l.inv.Clients, c)
	}
}

// parseNBD reads what rbd-nbd maps from its command line, and reports whether
// it is rbd-nbd's at all.
func parseNBD(cmdline string) (teardown.Image, bool) {
	args := strings.Split(strings.TrimRight(cmdline, "\x00"), "\x00")
	if filepath.Base(args[0]) != "rbd-nbd" {
		return teardown.Image{}, false
	}
	i := slices.IndexFunc(args, func(a string) bool { return a == "map" || a == "attach" })
	if i < 0 {
		return teardown.Image{}, true
	}
	img := teardown.Image{Pool: "rbd"}
	for i++; i < len(args); i++ {
		switch flag, value, joined := strings.Cut(args[i], "="); {
		case !strings.HasPrefix(flag, "-"):
			parseSpec(args[i], &img)
		case joined || !valued(flag):
			setImage(&img, flag, value)
		case i+1 < len(args):
			i++
			setImage(&img, flag, args[i])
		}
	}
	return img, true
}

// valued reports whether the next argument is the value of an option of rbd-nbd.
// One that is missing here has its value taken for an image, which no metadata
// names then.
func valued(flag string) bool {
	switch flag {
	case "--pool", "-p", "--namespace", "--image", "--snap", "--device",
		"--id", "--user", "--name", "-n", "-m", "--mon_host", "--keyfile",
		"--keyring", "-k", "--conf", "-c", "--cluster", "--max_part",
		"--nbds_max", "--timeout", "--io-timeout", "--reattach-timeout", "--cookie",
		"--snap-id", "--log-file", "--options", "-o":
		return true
	}
	return false
}

func setImage(img *teardown.Image, flag, value string) {
	switch flag {
	case "--pool", "-p":
		img.Pool = value
	case "--namespace":
		img.Namespace = value
	case "--image":
		img.Name = value
	case "--snap":
		img.Snapshot = value
	}
}

// parseSpec reads [pool/[namespace/]]image[@snapshot] into img.
func parseSpec(spec string, img *teardown.Image) {
	spec, img.Snapshot, _ = strings.Cut(spec, "@")
	switch parts := strings.Split(spec, "/"); len(parts) {
	case 1:
		img.Name = parts[0]
	case 2:
		img.Pool, img.Name = parts[0], parts[1]
	case 3:
		img.Pool, img.Namespace, img.Name = parts[0], parts[1], parts[2]
	}
}

// numbers0 returns those of the names that are numbers, 0 too, in order.
func numbers0(names []string) []int {
	all := numbers(names)
	if slices.Contains(names, "0") {
		all = append([]int{0}, all...)
	}
	return all
}
