package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	bootA = "0b0c7dd4-4d6e-4b53-9e0c-5f3f5f6d3a01"
	uuidA = "4c4c4544-0043-3510-8052-b4c04f564433"
)

// fakeHost makes a host's root with the files given. A text that begins with
// "-> " is a symbolic link's target.
func fakeHost(t testing.TB, files map[string]string) Config {
	t.Helper()
	c := Default()
	c.Root = t.TempDir()
	for name, text := range files {
		path := c.path(name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestConfigRefusesAnythingOutsideItsRoot(t *testing.T) {
	good := Default()
	good.Root = "/host"
	tests := []struct {
		name string
		bend func(*Config)
		want string
	}{
		{"as shipped, with a root", func(*Config) {}, ""},
		{"no root", func(c *Config) { c.Root = "" }, "root"},
		{"relative root", func(c *Config) { c.Root = "host" }, "root"},
		{"absolute run", func(c *Config) { c.Run = "/run/picket" }, "run"},
		{"escaping state", func(c *Config) { c.State = "../var" }, "state"},
		{"no break-glass file", func(c *Config) { c.BreakGlass = "" }, "breakGlass"},
	}
	for _, tt := range tests {
		c := good
		tt.bend(&c)
		err := c.Validate()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Validate() = %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestReadIdentity(t *testing.T) {
	const (
		bootFile    = "proc/sys/kernel/random/boot_id"
		machineFile = "etc/machine-id"
		uuidFile    = "sys/class/dmi/id/product_uuid"
	)
	tests := []struct {
		name  string
		files map[string]string
		want  Identity
		err   string
	}{
		{name: "all", files: map[string]string{
			bootFile: bootA + "\n", machineFile: "a1b2c3d4e5f60718293a4b5c6d7e8f90\n", uuidFile: strings.ToUpper(uuidA) + "\n",
		}, want: Identity{bootA, "a1b2c3d4e5f60718293a4b5c6d7e8f90", uuidA}},
		{name: "boot ID alone", files: map[string]string{bootFile: bootA}, want: Identity{BootID: bootA}},
		{name: "no boot ID", files: map[string]string{machineFile: "a1b2c3d4e5f60718293a4b5c6d7e8f90"}, err: "read boot ID"},
		{name: "boot ID without sense", files: map[string]string{bootFile: "boot-1"}, err: `"boot-1"`},
		{name: "image that was never started", files: map[string]string{bootFile: bootA, machineFile: "uninitialized\n"}, want: Identity{BootID: bootA}},
		{name: "empty machine ID", files: map[string]string{bootFile: bootA, machineFile: ""}, want: Identity{BootID: bootA}},
		{name: "UUID not present", files: map[string]string{bootFile: bootA, uuidFile: "Not Present\n"}, want: Identity{BootID: bootA}},
		{name: "UUID to be filled", files: map[string]string{bootFile: bootA, uuidFile: "To be filled by O.E.M.\n"}, want: Identity{BootID: bootA}},
		{name: "UUID of zeros", files: map[string]string{bootFile: bootA, uuidFile: "00000000-0000-0000-0000-000000000000"}, want: Identity{BootID: bootA}},
		{name: "UUID of Fs", files: map[string]string{bootFile: bootA, uuidFile: "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"}, want: Identity{BootID: bootA}},
		{name: "UUID of FEs", files: map[string]string{bootFile: bootA, uuidFile: "FEFEFEFE-FEFE-FEFE-FEFE-FEFEFEFEFEFE"}, want: Identity{BootID: bootA}},
		{name: "a vendor's UUID", files: map[string]string{bootFile: bootA, uuidFile: "03000200-0400-0500-0006-000700080009"}, want: Identity{BootID: bootA}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ReadIdentity(fakeHost(t, tt.files))
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("ReadIdentity() = %v, want %q", err, tt.err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("identity (-want +got):\n%s", d)
			}
		})
	}
}

func TestA12BreakGlassKeepsTheNodeUnarmed(t *testing.T) {
	const normal = "BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro quiet"
	tests := []struct {
		name  string
		files map[string]string
		want  string // nothing: may arm
	}{
		{"nothing", map[string]string{"proc/cmdline": normal}, ""},
		{"argument 0", map[string]string{"proc/cmdline": normal + " picket.arm=0\n"}, "picket.arm=0"},
		{"argument 1", map[string]string{"proc/cmdline": normal + " picket.arm=1\n"}, ""},
		{"last argument counts", map[string]string{"proc/cmdline": "picket.arm=0 picket.arm=1"}, ""},
		{"argument without a value", map[string]string{"proc/cmdline": "picket.arm"}, "picket.arm="},
		{"argument no", map[string]string{"proc/cmdline": "picket.arm=no"}, "picket.arm=no"},
		{"quoted", map[string]string{"proc/cmdline": `"picket.arm=0"`}, "picket.arm=0"},
		{"another argument", map[string]string{"proc/cmdline": "xpicket.arm=0 picket.armed=0 picket_arm=0"}, ""},
		{"file", map[string]string{"proc/cmdline": normal, "etc/picket/unarmed": ""}, "etc/picket/unarmed exists"},
		{"dangling link", map[string]string{"proc/cmdline": normal, "etc/picket/unarmed": "-> nowhere"}, "exists"},
		{"no /proc", nil, "cannot read the kernel's arguments"},
		{"a file in the way", map[string]string{"proc/cmdline": normal, "etc/picket": "x"}, "cannot tell"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := BreakGlass(fakeHost(t, tt.files))
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("BreakGlass() = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestA12ContainersNeverArm(t *testing.T) {
	first := map[string]string{"proc/1/ns/pid": "-> pid:[4026531836]"}
	with := func(name, text string) map[string]string {
		return map[string]string{"proc/1/ns/pid": first["proc/1/ns/pid"], name: text}
	}
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"host", first, ""},
		{"kernel without namespaces", nil, ""},
		{"host with an environment", with("proc/1/environ", "HOME=/\x00TERM=linux\x00containerd=no\x00container=\x00"), ""},
		{"kind", map[string]string{"proc/1/ns/pid": "-> pid:[4026532458]"}, "pid:[4026532458]"},
		{"systemd in a container", with("run/systemd/container", "docker\n"), "run/systemd/container exists"},
		{"docker", with(".dockerenv", ""), ".dockerenv exists"},
		{"podman", with("run/.containerenv", ""), ".containerenv exists"},
		{"lxc", with("proc/1/environ", "TERM=linux\x00container=lxc\x00"), `container="lxc"`},
		{"not a link", map[string]string{"proc/1/ns/pid": "pid:[4026531836]"}, "cannot tell"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := SharedKernel(fakeHost(t, tt.files))
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("SharedKernel() = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestHypervisorIsSeen(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"bare metal", map[string]string{
			"proc/cpuinfo":                "processor\t: 0\nflags\t\t: fpu vme de vmx hypervisorless\n\n",
			"sys/class/dmi/id/sys_vendor": "Dell Inc.\n",
		}, ""},
		{"nothing known", nil, ""},
		{"x86 guest", map[string]string{"proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu vme hypervisor lahf_lm\nbugs\t:\n"}, "hypervisor bit"},
		{"the model's name is no flag", map[string]string{"proc/cpuinfo": "model name\t: hypervisor\nflags\t: fpu\n"}, ""},
		{"xen", map[string]string{"sys/hypervisor/type": "xen\n"}, `"xen"`},
		{"arm64 guest of KVM", map[string]string{"sys/class/dmi/id/sys_vendor": "QEMU\n"}, `"QEMU"`},
		{"device tree", map[string]string{"proc/device-tree/hypervisor/compatible": "linux,kvm\x00"}, `"linux,kvm"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Hypervisor(fakeHost(t, tt.files))
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("Hypervisor() = %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzIDs(f *testing.F) {
	f.Add(uuidA)
	f.Add("a1b2c3d4e5f60718293a4b5c6d7e8f90\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if id := parseUUID(text); id != "" && (len(id) != 36 || parseUUID(id) != id) {
			t.Errorf("parseUUID(%q) = %q", text, id)
		}
		if id := parseMachineID(text); id != "" && (len(id) != 32 || parseMachineID(id) != id) {
			t.Errorf("parseMachineID(%q) = %q", text, id)
		}
	})
}

func FuzzKernelText(f *testing.F) {
	f.Add("root=/dev/sda1 picket.arm=0")
	f.Add("flags\t: fpu hypervisor\n")
	f.Fuzz(func(t *testing.T, text string) {
		if v, ok := parseArm(text); ok && !strings.Contains(text, "picket.arm") {
			t.Errorf("parseArm(%q) = %q", text, v)
		}
		if parseHypervisorFlag([]byte(text)) && !strings.Contains(text, "hypervisor") {
			t.Errorf("parseHypervisorFlag(%q)", text)
		}
	})
}
