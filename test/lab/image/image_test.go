package image

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMirrorIn(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"none", "# nothing\n", ""},
		{"deb822", "Types: deb\n# http://old.example/debian\nURIs: http://mirror.example/debian/\nSuites: bookworm\n", "http://mirror.example/debian"},
		{"one line", "deb [signed-by=/k.gpg] https://mirror.example/debian bookworm main\n", "https://mirror.example/debian"},
		{"security only", "URIs: http://mirror.example/debian-security\n", ""},
		{"source only", "deb-src http://mirror.example/debian bookworm main\n", ""},
		{"another distribution", "deb http://packages.example/apt stable main\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := mirrorIn(tt.text); got != tt.want {
				t.Errorf("mirrorIn = %q, want %q", got, tt.want)
			}
		})
	}
}

// TestDisk writes files into a real file system, and reads them back.
func TestDisk(t *testing.T) {
	for _, tool := range []string{"mke2fs", "debugfs", "cp"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "etc/old"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	base := Base{Root: filepath.Join(dir, "root.img")}
	if out, err := exec.Command("mke2fs", "-q", "-t", "ext4", "-d", root, base.Root, "8M").CombinedOutput(); err != nil {
		t.Fatalf("mke2fs: %v: %s", err, out)
	}
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!"), 0o600); err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(dir, "disk")
	err := base.Disk(t.Context(), disk, map[string]File{
		"/etc/old":       {Text: "new"},
		"/etc/a/b/c":     {Text: "deep"},
		"/etc/a/link":    {Link: "b/c"},
		"/usr/bin/tool":  {From: program, Mode: 0o755},
		"/etc/a/b/empty": {},
	})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(request string) string {
		out, err := exec.Command("debugfs", "-R", request, disk).Output()
		if err != nil {
			t.Fatalf("debugfs %s: %v", request, err)
		}
		return string(out)
	}
	got := map[string]string{}
	for _, name := range []string{"/etc/old", "/etc/a/b/c", "/usr/bin/tool", "/etc/a/b/empty"} {
		got[name] = ask("cat " + name)
	}
	want := map[string]string{"/etc/old": "new", "/etc/a/b/c": "deep", "/usr/bin/tool": "#!", "/etc/a/b/empty": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	for name, says := range map[string]string{
		"/etc/a/link":   `Fast link dest: "b/c"`,
		"/usr/bin/tool": "Mode:  0755",
		"/etc/old":      "Mode:  0644",
	} {
		if stat := ask("stat " + name); !strings.Contains(stat, says) || !strings.Contains(stat, "User:     0") {
			t.Errorf("stat %s does not say %q:\n%s", name, says, stat)
		}
	}
	if out, err := exec.Command("e2fsck", "-fn", disk).CombinedOutput(); err != nil {
		t.Errorf("the file system is damaged: %v\n%s", err, out)
	}
}

func TestComplaint(t *testing.T) {
	tests := []struct {
		name, out string
		wrong     bool
	}{
		{"fine", "debugfs 1.47.0 (5-Feb-2023)\ndebugfs: write a /b\nAllocated inode: 12\n", false},
		{"known directory", "ext2fs_mkdir: Ext2 directory already exists while creating directory \"etc\"\n", false},
		{"nothing to remove", "rm: File not found by ext2_lookup while trying to resolve filename\n", false},
		{"full", "Could not allocate block in ext2 filesystem\n", true},
		{"no source", "write: No such file or directory while opening \"x\"\n", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := complaint(tt.out); (err != nil) != tt.wrong {
				t.Errorf("complaint = %v", err)
			}
		})
	}
}
