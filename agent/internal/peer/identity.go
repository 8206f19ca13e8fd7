package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// An Identity is an agent's key in one boot, and a certificate around it. The
// certificate is only an envelope: it names nobody and never expires, because
// an outage must not be the moment at which a date passes. What counts is the
// fingerprint of the key, which the other agents learn through the API.
type Identity struct {
	certificate tls.Certificate
	fingerprint string
}

const (
	keyFile   = "peer.key"
	keyType   = "PRIVATE KEY"
	bootLabel = "Boot"
)

// LoadIdentity returns the identity of this boot. Its key lies in the run
// directory, readable by its owner alone, so that a restarted agent keeps it.
// A key of another boot, or one that is damaged or readable by others, is
// replaced; the peers then learn the new fingerprint through the API.
func LoadIdentity(run, boot string) (*Identity, error) {
	path := filepath.Join(run, keyFile)
	key, err := readKey(path, boot)
	if err != nil {
		return nil, err
	}
	if key == nil {
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, fmt.Errorf("make a key for peers: %w", err)
		}
		if err := writeKey(path, boot, key); err != nil {
			return nil, err
		}
	}
	return newIdentity(key)
}

// Fingerprint returns the SHA-256 of the public key (SPKI) in hex: what other
// agents pin.
func (i *Identity) Fingerprint() string { return i.fingerprint }

// newIdentity wraps the key in a certificate.
func newIdentity(key *ecdsa.PrivateKey) (*Identity, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate for peers: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make a certificate for peers: %w", err)
	}
	return &Identity{
		certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
		fingerprint: fingerprint(leaf),
	}, nil
}

// fingerprint returns the SHA-256 of the certificate's public key in hex.
func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// readKey returns the key that the file holds for this boot, or nil if a new
// one has to be made.
func readKey(path, boot string) (*ecdsa.PrivateKey, error) {
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
	return parseKey(data, boot), nil
}

// parseKey returns the ECDSA P-256 key of this boot in data, or nil.
func parseKey(data []byte, boot string) *ecdsa.PrivateKey {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != keyType || block.Headers[bootLabel] != boot {
		return nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil
	}
	return key
}

// writeKey puts the key in place in one step, so that a crash leaves the old
// file or the new one. The run directory is a tmpfs: nothing needs a sync.
func writeKey(path, boot string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key for peers: %w", err)
	}
	data := pem.EncodeToMemory(&pem.Block{Type: keyType, Headers: map[string]string{bootLabel: boot}, Bytes: der})
	if data == nil {
		return fmt.Errorf("encode key for peers: boot ID %q does not fit into a PEM header", boot)
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
