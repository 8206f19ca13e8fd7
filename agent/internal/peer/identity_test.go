package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func load(t *testing.T, dir, boot string) *Identity {
	t.Helper()
	id, err := LoadIdentity(dir, boot)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestIdentityLastsForTheBoot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	first := load(t, dir, "boot-1")
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(first.Fingerprint()) {
		t.Errorf("fingerprint %q is not a SHA-256 in hex", first.Fingerprint())
	}
	if again := load(t, dir, "boot-1"); again.Fingerprint() != first.Fingerprint() {
		t.Error("a restarted agent has another key")
	}
	if next := load(t, dir, "boot-2"); next.Fingerprint() == first.Fingerprint() {
		t.Error("the key outlives its boot")
	}
	info, err := os.Stat(filepath.Join(dir, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("key file has mode %v, want 0600", info.Mode().Perm())
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("run directory holds %v, %v; want the key alone", left, err)
	}
}

func TestIdentityReplacesABadKey(t *testing.T) {
	tests := []struct {
		name string
		bend func(path string) error
	}{
		{"empty", func(p string) error { return os.WriteFile(p, nil, 0o600) }},
		{"garbage", func(p string) error { return os.WriteFile(p, []byte("\x00garbage"), 0o600) }},
		{"truncated", func(p string) error { return os.Truncate(p, 100) }},
		{"readable by others", func(p string) error { return os.Chmod(p, 0o644) }},
		{"a symbolic link", func(p string) error {
			if err := os.Rename(p, p+".real"); err != nil {
				return err
			}
			return os.Symlink(p+".real", p)
		}},
		{"another curve", func(p string) error {
			key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
			if err != nil {
				return err
			}
			return writeKeys(p, "boot-1", []*ecdsa.PrivateKey{key})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			first := load(t, dir, "boot-1")
			if err := tt.bend(filepath.Join(dir, keyFile)); err != nil {
				t.Fatal(err)
			}
			second := load(t, dir, "boot-1")
			if second.Fingerprint() == first.Fingerprint() {
				t.Error("the bad key is still in use")
			}
			if third := load(t, dir, "boot-1"); third.Fingerprint() != second.Fingerprint() {
				t.Error("the new key was not kept")
			}
		})
	}
}

func TestIdentityNeedsAPlaceForItsKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadIdentity(file, "boot-1"); err == nil {
		t.Error("LoadIdentity below a file has no error")
	}
}

func FuzzParseKey(f *testing.F) {
	dir := f.TempDir()
	if _, err := LoadIdentity(dir, "boot-1"); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nBoot: boot-1\n\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, key := range parseKeys(data, "boot-1") {
			if _, err := wrap(key); err != nil {
				t.Errorf("accepted a key that cannot be used: %v", err)
			}
		}
	})
}
