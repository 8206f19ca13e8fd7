package launch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/picket-dev/picket/agent/internal/host"
)

// fingerprint returns the SHA-256 of a file in hex.
func fingerprint(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read the holder's binary: %w", err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", fmt.Errorf("read the holder's binary: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// placeBinary puts the image's binary on the host.
func (l *Launcher) placeBinary() error {
	file, err := os.Open(l.cfg.Binary)
	if err != nil {
		return fmt.Errorf("place the holder: %w", err)
	}
	defer file.Close()
	_, err = host.Place(l.paths.here(l.paths.hostBinary()), file, 0o755)
	return err
}

// placeConfig writes the configuration of the holder that is to start.
func (t *task) placeConfig() error {
	err := t.next.Config.Validate()
	var text []byte
	if err == nil {
		text, err = json.MarshalIndent(t.next.Config, "", "  ")
	}
	if err != nil {
		return fmt.Errorf("configure the holder: %w", err)
	}
	_, err = host.Place(t.paths.here(t.paths.hostRun(configName)), bytes.NewReader(append(text, '\n')), 0o644)
	return err
}
