package ceph

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/picket-dev/picket/test/cluster/proc"
)

// Config says where a Cluster lives.
type Config struct {
	// Dir takes everything; it must not exist. Its path must be short: sockets
	// lie there.
	Dir string
	// Addr is where the monitor listens; Network is the one that it is in.
	Addr    netip.Addr
	Network netip.Prefix
}

// Pool and User are what images lie in, and who may use them.
const (
	Pool = "rbd"
	User = "k"
)

// Cluster is a running Ceph.
type Cluster struct {
	cfg       Config
	key       string
	processes []*proc.Process
}

// Missing names the programs that Start needs and that are not installed, with
// what installs them; nil if there are all.
func Missing() error {
	var missing []string
	for _, program := range []string{"ceph-mon", "ceph-osd", "ceph", "rbd", "ceph-authtool", "monmaptool"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%s is missing: apt-get install --no-install-recommends ceph-mon ceph-osd ceph-common", strings.Join(missing, ", "))
}

// Start brings a cluster up, which takes some 15 s. The caller must Stop it; it
// does not outlive the program.
func Start(ctx context.Context, c Config) (*Cluster, error) {
	if err := Missing(); err != nil {
		return nil, err
	}
	cluster := &Cluster{cfg: c}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := cluster.start(ctx); err != nil {
		cluster.Stop()
		return nil, fmt.Errorf("start Ceph: %w", err)
	}
	return cluster, nil
}

// Stop ends it without a word.
func (c *Cluster) Stop() {
	for _, p := range c.processes {
		p.KillGroup()
	}
}

// Monitor is where clients of the old protocol find the cluster.
func (c *Cluster) Monitor() string { return netip.AddrPortFrom(c.cfg.Addr, 6789).String() }

// Key is the secret of User.
func (c *Cluster) Key() string { return c.key }

// Create makes an image of so many bytes.
func (c *Cluster) Create(ctx context.Context, image string, size int64) error {
	_, err := c.run(ctx, "rbd", "create", "--size", fmt.Sprintf("%dB", size), "--image-feature", "layering", Pool+"/"+image)
	return err
}

// Remove deletes an image. A client that has it mapped keeps its watch for half a
// minute.
func (c *Cluster) Remove(ctx context.Context, image string) error {
	_, err := c.run(ctx, "rbd", "rm", "--no-progress", Pool+"/"+image)
	return err
}

// Export copies an image to a file.
func (c *Cluster) Export(ctx context.Context, image, file string) error {
	_, err := c.run(ctx, "rbd", "export", "--no-progress", Pool+"/"+image, file)
	return err
}

// Blocklist shuts a client out for a day: address, port and nonce, as krbd shows
// them.
func (c *Cluster) Blocklist(ctx context.Context, client string) error {
	if _, err := c.run(ctx, "ceph", "osd", "blocklist", "add", client, "86400"); err != nil {
		return err
	}
	all, err := c.run(ctx, "ceph", "osd", "blocklist", "ls")
	if err == nil && !strings.Contains(all, client) {
		err = fmt.Errorf("%s is not on the blocklist: %s", client, all)
	}
	return err
}

func (c *Cluster) path(name string) string { return filepath.Join(c.cfg.Dir, name) }

// configuration is the cluster's; see ceph-conf(8).
func (c *Cluster) configuration(id string) string {
	monitor := fmt.Sprintf("[v2:%[1]s:3300,v1:%[1]s:6789]", c.cfg.Addr)
	return fmt.Sprintf(`[global]
fsid = %[1]s
mon host = %[2]s
keyring = %[3]s/admin.keyring
run dir = %[3]s
log file = %[3]s/$name.log
admin socket = %[3]s/$name.asok
pid file = %[3]s/$name.pid
public network = %[4]s
osd pool default size = 1
osd pool default min size = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
[mon]
keyring = %[3]s/mon.keyring
mon data = %[3]s/mon
[osd]
keyring = %[3]s/osd/keyring
osd data = %[3]s/osd
osd objectstore = bluestore
bluestore block size = 1G
osd memory target = 939524096
`, id, monitor, c.cfg.Dir, c.cfg.Network)
}

func (c *Cluster) start(ctx context.Context) error {
	fsid, uuid := newUUID(), newUUID()
	err := errors.Join(os.Mkdir(c.cfg.Dir, 0o755), os.Mkdir(c.path("osd"), 0o755),
		os.WriteFile(c.path("ceph.conf"), []byte(c.configuration(fsid)), 0o600))
	if err != nil {
		return err
	}
	monitor := fmt.Sprintf("[v2:%[1]s:3300,v1:%[1]s:6789]", c.cfg.Addr)
	err = c.each(ctx, [][]string{
		{"ceph-authtool", "--create-keyring", c.path("mon.keyring"), "--gen-key", "-n", "mon.", "--cap", "mon", "allow *"},
		{"ceph-authtool", "--create-keyring", c.path("admin.keyring"), "--gen-key", "-n", "client.admin",
			"--cap", "mon", "allow *", "--cap", "osd", "allow *"},
		{"ceph-authtool", c.path("mon.keyring"), "--import-keyring", c.path("admin.keyring")},
		{"monmaptool", "--create", "--fsid", fsid, "--addv", "a", monitor, c.path("monmap")},
		{"ceph-mon", "-i", "a", "--mkfs", "--monmap", c.path("monmap"), "--keyring", c.path("mon.keyring")},
	})
	if err == nil {
		err = c.daemon("ceph-mon", "-i", "a")
	}
	if err == nil {
		err = c.each(ctx, [][]string{
			{"ceph", "osd", "new", uuid},
			{"ceph-osd", "-i", "0", "--no-mon-config", "--mkfs", "--mkkey", "--osd-uuid", uuid},
			{"ceph", "auth", "add", "osd.0", "mon", "allow profile osd", "osd", "allow *", "-i", c.path("osd/keyring")},
		})
	}
	if err == nil {
		err = c.daemon("ceph-osd", "-i", "0")
	}
	if err == nil {
		err = c.each(ctx, [][]string{
			{"ceph", "osd", "pool", "create", Pool, "8"},
			{"rbd", "pool", "init", Pool}, // returns once the OSD serves it
		})
	}
	if err != nil {
		return err
	}
	c.key, err = c.run(ctx, "ceph", "auth", "get-or-create-key", "client."+User, "mon", "profile rbd", "osd", "profile rbd pool="+Pool)
	return err
}

// daemon starts a process that stays.
func (c *Cluster) daemon(name string, args ...string) error {
	p, err := proc.Start(proc.Command{
		Name: name, Argv: append([]string{name, "-f", "-c", c.path("ceph.conf")}, args...), Log: c.path(name + ".out"),
	})
	if err == nil {
		c.processes = append(c.processes, p)
	}
	return err
}

// each runs commands one after the other.
func (c *Cluster) each(ctx context.Context, commands [][]string) error {
	for _, argv := range commands {
		if _, err := c.run(ctx, argv[0], argv[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// run runs one of Ceph's tools, and returns what it wrote.
func (c *Cluster) run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "CEPH_CONF="+c.path("ceph.conf"))
	var out, problems strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(problems.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// newUUID is a random one.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
