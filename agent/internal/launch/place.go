package launch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/picket-dev/picket/agent/internal/hold"
)

// fingerprint returns the SHA-256 of a file in hex.
func fingerprint(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the holder's binary: %w", err)
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]), nil
}

// placeBinary copies the binary, unless the same is there. The old one may be
// running, so it is replaced by another file and never written to.
func placeBinary(from, to string) error {
	want, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("place the holder: %w", err)
	}
	have, err := os.ReadFile(to)
	if err == nil && bytes.Equal(have, want) {
		if err := os.Chmod(to, 0o755); err != nil {
			return fmt.Errorf("place the holder: %w", err)
		}
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("place the holder: %w", err)
	}
	return replace(to, want, 0o755)
}

// placeConfig writes the holder's configuration.
func placeConfig(c hold.Config, to string) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configure the holder: %w", err)
	}
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("configure the holder: %w", err)
	}
	return replace(to, append(text, '\n'), 0o644)
}

// replace puts content in place of a file in one step.
func replace(path string, content []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	next := path + ".new"
	err := os.WriteFile(next, content, mode)
	if err == nil {
		err = os.Chmod(next, mode) // whatever the umask is
	}
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(next)))
	}
	return nil
}
