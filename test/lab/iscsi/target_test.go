package iscsi

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/picket-dev/picket/test/cluster/rawclock"
)

const testIQN = "iqn.2026-01.dev.picket.test:volumes"

// needs skips a test where a program is missing: the lab's tier has it.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs %s: %v", p, err)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: tgtd puts its socket into /var/run/tgtd")
	}
}

// freePort returns a loopback port that nobody listens on.
func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	l := listen(t)
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String())
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// storage is a tgtd with one volume of 64 MiB behind a proxy.
type storage struct {
	target *Target
	portal string // of tgtd itself
	addr   string // of the proxy
	volume string
	log    *Log
	proxy  *Proxy
}

func startStorage(t *testing.T) storage {
	t.Helper()
	needs(t, "tgtd", "tgtadm", "mkfs.ext4")
	dir := t.TempDir()
	volume := filepath.Join(dir, "volume")
	if err := CreateVolume(t.Context(), volume, 64<<20); err != nil {
		t.Fatal(err)
	}
	portal := freePort(t)
	target, err := StartTarget(t.Context(), TargetConfig{
		Portal: portal, IQN: testIQN, Volumes: []string{volume}, Dir: dir,
		Control: 1000 + os.Getpid()%30000,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := target.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	log, proxy := startProxy(t, portal.String())
	return storage{target, portal.String(), proxy.cfg.Listener.Addr().String(), volume, log, proxy}
}

func startProxy(t *testing.T, target string) (*Log, *Proxy) {
	t.Helper()
	log, err := CreateLog(filepath.Join(t.TempDir(), "writes.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	p := StartProxy(ProxyConfig{
		Listener: listen(t), Dial: dialer(target), Log: log,
		Logger: slog.New(slog.NewTextHandler(testWriter{t}, nil)),
	})
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return log, p
}

// testWriter is a test's own log.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(line []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(line)))
	return len(line), nil
}

// recorded are the records but for the times, which must only grow.
func recorded(t *testing.T, log *Log, since time.Duration) []Write {
	t.Helper()
	writes, err := log.Writes()
	if err != nil {
		t.Fatal(err)
	}
	for i := range writes {
		w := &writes[i]
		if w.Opened < since || w.At < w.Opened || i > 0 && w.At < writes[i-1].At || w.At > rawclock.Now() {
			t.Errorf("record %d: opened %v, arrived %v", w.Seq, w.Opened, w.At)
		}
	}
	return writes
}

var noTimes = cmpopts.IgnoreFields(Write{}, "At", "Opened")

func TestRealTarget(t *testing.T) {
	s := startStorage(t)
	since := rawclock.Now()
	const name = "iqn.2026-01.test:worker-1"
	i, err := dial(t, s.addr, name, "TargetName="+testIQN, "SessionType=Normal")
	if err != nil {
		t.Fatal(err)
	}
	i.ready()
	if blocks, size := i.capacity(); blocks != 64<<11 || size != 512 {
		t.Errorf("%d blocks of %d bytes, want 131072 of 512", blocks, size)
	}
	small := bytes.Repeat([]byte("S"), 1024)
	large := bytes.Repeat([]byte("L"), 64<<10)
	if err := i.write10(8, small, len(small)); err != nil {
		t.Error(err)
	}
	if err := i.write10(100, large, 4096); err != nil {
		t.Error(err)
	}
	if err := i.sync(); err != nil {
		t.Error(err)
	}
	content, err := os.ReadFile(s.volume)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(content[8*512:][:len(small)], small) || !bytes.Equal(content[100*512:][:len(large)], large) {
		t.Error("the volume does not hold what was written")
	}

	base := Write{Initiator: name, Conn: 1, ISID: "800000000007", Target: testIQN, LUN: 1}
	want := []Write{base, base}
	want[0].Seq, want[0].Kind, want[0].Op, want[0].LBA, want[0].Blocks = 1, Command, "WRITE(10)", 8, 2
	want[1].Seq, want[1].Kind, want[1].Op, want[1].LBA, want[1].Blocks = 2, Command, "WRITE(10)", 100, 128
	// tgtd asks for the rest in bursts of its own size.
	got := recorded(t, s.log, since)
	for len(want) < len(got)-1 {
		data := want[1]
		data.Seq, data.Kind, data.Of = uint64(len(want))+1, Data, 2
		want = append(want, data)
	}
	last := base
	last.Seq, last.Kind, last.Op = uint64(len(want))+1, Sync, "SYNCHRONIZE CACHE(10)"
	want = append(want, last)
	if diff := cmp.Diff(want, got, noTimes); diff != "" {
		t.Error(diff)
	}
	if len(got) < 4 {
		t.Error("the rest of the data was not recorded")
	}
	if newest, ok := s.log.Last(name); !ok || newest.Seq != last.Seq-1 {
		t.Errorf("last write %v, %v", newest, ok)
	}
	if err := s.proxy.Refused(); err != nil {
		t.Error(err)
	}
}

// TestDiscoveryNamesThePortal pins what makes the redirect necessary: tgtd
// names the address that it was reached at.
func TestDiscoveryNamesThePortal(t *testing.T) {
	s := startStorage(t)
	got := discover(t, s.addr)
	if !strings.Contains(got, testIQN) || !strings.Contains(got, "TargetAddress="+s.portal+",") {
		t.Errorf("discovery says %q, want the portal %s", got, s.portal)
	}
}

func TestDigests(t *testing.T) {
	s := startStorage(t)
	for _, digest := range []string{"HeaderDigest", "DataDigest"} { // tgtd declines them by default
		if err := s.target.admin(t.Context(), "--op", "update", "--mode", "target", "--tid", "1", "-n", digest, "-v", "CRC32C,None"); err != nil {
			t.Fatal(err)
		}
	}
	for lba, offer := range [][]string{
		{"HeaderDigest=None", "DataDigest=None"},
		{"HeaderDigest=CRC32C", "DataDigest=None"},
		{"HeaderDigest=None", "DataDigest=CRC32C"},
		{"HeaderDigest=CRC32C", "DataDigest=CRC32C"},
	} {
		i, err := dial(t, s.addr, "iqn.2026-01.test:careful", append(offer, "TargetName="+testIQN)...)
		if err != nil {
			t.Fatal(err)
		}
		if got := (framing{i.digest.header, i.digest.data}); got.header != slices.Contains(offer, "HeaderDigest=CRC32C") || got.data != slices.Contains(offer, "DataDigest=CRC32C") {
			t.Errorf("offered %q, tgtd chose %+v", offer, got)
		}
		i.ready()
		if err := i.write10(uint32(lba), bytes.Repeat([]byte("D"), 32<<10), 512); err != nil {
			t.Errorf("%q: %v", offer, err)
		}
		i.conn.Close()
	}
	var lbas []uint64
	for _, w := range recorded(t, s.log, 0) {
		if w.Kind == Command {
			lbas = append(lbas, w.LBA)
		}
	}
	if diff := cmp.Diff([]uint64{0, 1, 2, 3}, lbas); diff != "" {
		t.Error(diff)
	}
	if err := s.proxy.Refused(); err != nil {
		t.Error(err)
	}
}

func TestSnapshot(t *testing.T) {
	needs(t, "e2fsck", "debugfs")
	s := startStorage(t)
	i, err := dial(t, s.addr, "iqn.2026-01.test:worker-1", "TargetName="+testIQN)
	if err != nil {
		t.Fatal(err)
	}
	i.ready()
	image, err := s.target.Snapshot(t.Context(), s.volume, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := image.Check(t.Context()); err != nil {
		t.Error(err)
	}
	// The target goes on; and the superblock, gone, is no power cut's work.
	if err := i.write10(0, make([]byte, 256<<10), 512); err != nil {
		t.Fatal(err)
	}
	if _, err := s.target.Snapshot(t.Context(), s.volume, t.TempDir()); err == nil {
		t.Error("a damaged volume passed")
	}
}

func TestVolumeIsChecked(t *testing.T) {
	needs(t, "mkfs.ext4", "e2fsck", "debugfs")
	dir := t.TempDir()
	volume := filepath.Join(dir, "volume")
	if err := CreateVolume(t.Context(), volume, 16<<20); err != nil {
		t.Fatal(err)
	}
	put := filepath.Join(dir, "put")
	if err := os.WriteFile(put, []byte("content\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t.Context(), "debugfs", "-w", "-R", "write "+put+" log", volume); err != nil {
		t.Fatal(err)
	}
	image, err := CopyVolume(t.Context(), volume, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := image.Check(t.Context()); err != nil {
		t.Errorf("a sound file system: %v", err)
	}
	if got, err := image.File(t.Context(), "/log"); err != nil || string(got) != "content\n" {
		t.Errorf("read %q: %v", got, err)
	}
	if _, err := image.File(t.Context(), "/missing"); err == nil {
		t.Error("a missing file was read")
	}
	if _, err := run(t.Context(), "debugfs", "-w", "-R", "clri log", image.path); err != nil {
		t.Fatal(err)
	}
	if err := image.Check(t.Context()); err == nil {
		t.Error("a damaged file system passed")
	}
}
