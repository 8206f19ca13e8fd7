package cli

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

// unpack returns the archive's files by name.
func unpack(t *testing.T, archive io.Reader) map[string]string {
	t.Helper()
	zip, err := gzip.NewReader(archive)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(h.Name, "picket-support/")] = string(data)
	}
}

func names(files map[string]string) []string {
	var all []string
	for n := range files {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

func TestSupportBundle(t *testing.T) {
	host := watched(t)
	mounts := "36 35 98:0 / /mnt rw - cifs //nas/x rw,username=joe,password=hunter2,vers=3\n" +
		"37 35 0:50 / /ceph rw - ceph mon:/ rw,name=admin,secret=AQBhunter2,acl\n"
	if err := os.WriteFile(filepath.Join(host, "proc/1/mountinfo"), []byte(mounts), 0o600); err != nil {
		t.Fatal(err)
	}
	status := changed(func(r *peerv1.StatusReply) {
		r.Endpoints[0].Failed = ms(100)
		r.Endpoints[0].Error = "read roll from https://joe:hunter2@10.0.1.10:6443: Unauthorized: Bearer hunter2hunter2"
	})
	run := serve(t, agent{status: status})
	for _, name := range []string{"identity.key", "memory.json"} { // of the agent, and none of the bundle's business
		if err := os.WriteFile(filepath.Join(run, name), []byte("-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "b.tar.gz")
	out, code := call(t, "support-bundle", "--run", run, "--root", host, "-f", file)
	if code != 0 || !strings.Contains(out, "wrote "+file) {
		t.Fatalf("exit code %d, %s", code, out)
	}
	archive, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	files := unpack(t, archive)
	want := []string{
		"README.txt", "matrix.txt", "mountinfo.txt", "peers.txt", "policy.json", "status.json", "status.txt",
		"versions.json", "watchdog.json", "watchdog.txt", "why.txt",
	}
	if d := cmp.Diff(want, names(files)); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
	for name, text := range files {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "PRIVATE") {
			t.Errorf("%s holds a secret:\n%s", name, text)
		}
	}
	for name, says := range map[string]string{
		"mountinfo.txt": "username=joe,password=<redacted>,vers=3", "status.txt": "https://<redacted>@10.0.1.10:6443",
		"versions.json": "6.1.0-43-amd64", "why.txt": "armed: T=10s L=5s", "policy.json": `"prefer": "Hardware"`,
		"watchdog.txt": "i6300esb", "README.txt": "mountinfo.txt",
	} {
		if !strings.Contains(files[name], says) {
			t.Errorf("%s does not say %q:\n%s", name, says, files[name])
		}
	}
	info, err := archive.Stat()
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if out, code := call(t, "support-bundle", "--run", run, "--root", host, "-f", file); code != exitFailed || !strings.Contains(out, "another file") {
		t.Errorf("overwrites a file: exit code %d, %s", code, out)
	}
}

// Without an agent there is less in it, and it says so.
func TestSupportBundleWithoutAnAgent(t *testing.T) {
	b := &bundle{version: "v0.3.0", file: "-"}
	b.watchdog.root, b.watchdog.run = t.TempDir(), t.TempDir()
	var out bytes.Buffer
	if err := b.run(context.Background(), noon, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	files := unpack(t, &out)
	if !strings.Contains(files["README.txt"], "not in it: what the agent knows: no agent at") || !strings.Contains(files["README.txt"], "not in it: the mounts") {
		t.Errorf("%s", files["README.txt"])
	}
}

func TestRedact(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"rw,noatime,vers=3", "rw,noatime,vers=3"},
		{"rw,password=a b", "rw,password=<redacted> b"},
		{"X-Auth-Token=abc,next=1", "X-Auth-Token=<redacted>,next=1"},
		{"https://u:p@h/x and https://h/x", "https://<redacted>@h/x and https://h/x"},
		{"authorization: Bearer abcdefgh.ijkl", "authorization: Bearer <redacted>"},
		{"token eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJr.c2ln end", "token <redacted> end"},
		{"a -----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY----- b", "a <redacted> b"},
		{`{"clientSecret": "abc", "node": "n1"}`, `{"clientSecret": "<redacted>", "node": "n1"}`},
	} {
		if d := cmp.Diff(tt.want, redact(tt.text)); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.text, d)
		}
	}
}
