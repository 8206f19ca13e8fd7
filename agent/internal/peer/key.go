package peer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	keyType   = "PRIVATE KEY"
	bootLabel = "Boot"
)

// newKey makes a key of the one kind that agents use.
func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key for peers: %w", err)
	}
	return key, nil
}

// readKeys returns the keys that the file holds for this boot, the newest first:
// none if a new one has to be made.
func readKeys(path, boot string) ([]*ecdsa.PrivateKey, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read key for peers: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key for peers: %w", err)
	}
	return parseKeys(data, boot), nil
}

// parseKeys returns the ECDSA P-256 keys of this boot at the beginning of data,
// at most maxKeys.
func parseKeys(data []byte, boot string) (keys []*ecdsa.PrivateKey) {
	for len(keys) < maxKeys {
		block, rest := pem.Decode(data)
		if block == nil || block.Type != keyType || block.Headers[bootLabel] != boot {
			return keys
		}
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return keys
		}
		key, ok := parsed.(*ecdsa.PrivateKey)
		if !ok || key.Curve != elliptic.P256() {
			return keys
		}
		keys, data = append(keys, key), rest
	}
	return keys
}

// encodeKeys is the reverse of parseKeys.
func encodeKeys(boot string, keys []*ecdsa.PrivateKey) ([]byte, error) {
	var data bytes.Buffer
	for _, key := range keys {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, fmt.Errorf("encode key for peers: %w", err)
		}
		if err := pem.Encode(&data, &pem.Block{Type: keyType, Headers: map[string]string{bootLabel: boot}, Bytes: der}); err != nil {
			return nil, fmt.Errorf("encode key for peers in boot %q: %w", boot, err)
		}
	}
	return data.Bytes(), nil
}

// writeKeys puts the keys in place in one step, so that a crash leaves the old
// file or the new one. The run directory is a tmpfs: nothing needs a sync.
func writeKeys(path, boot string, keys []*ecdsa.PrivateKey) error {
	data, err := encodeKeys(boot, keys)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keep key for peers: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), keyFile+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("keep key for peers: %w", err)
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("keep key for peers: %w", errors.Join(err, os.Remove(file.Name())))
	}
	return nil
}
