package peer

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/big"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// An Identity is an agent's key in one boot, and a certificate around it. The
// certificate is only an envelope: it names nobody and never expires, because
// an outage must not be the moment at which a date passes. What counts is the
// fingerprint of the key, which the other agents learn through the API.
//
// A key that was rotated stays beside its successors until Retire: the others
// learn of the new one at different times, and each is shown the key that it
// has pinned. All methods may be called from any goroutine.
type Identity struct {
	path, boot string

	changing sync.Mutex
	keys     atomic.Pointer[[]credential] // the newest first; never changed
	turn     atomic.Uint64
}

// A credential is one key with its envelope.
type credential struct {
	certificate tls.Certificate
	key         *ecdsa.PrivateKey
	fingerprint string
	name        string // by which clients ask for it
}

// maxKeys is how many keys there are at most. Whoever rotates so often before
// the others have heard of it leaves those behind that know only the oldest.
const maxKeys = 4

const keyFile = "peer.key"

// LoadIdentity returns the identity of this boot. Its keys lie in the run
// directory, readable by their owner alone, so that a restarted agent keeps
// them. Keys of another boot, or a file that is damaged or readable by others,
// are replaced; the peers then learn the new fingerprint through the API.
func LoadIdentity(run, boot string) (*Identity, error) {
	i := &Identity{path: filepath.Join(run, keyFile), boot: boot}
	keys, err := readKeys(i.path, boot)
	if err != nil {
		return nil, err
	}
	if len(keys) > 0 {
		return i, i.use(keys)
	}
	_, err = i.Rotate()
	return i, err
}

// Rotate makes a new key and returns its fingerprint. The old ones are kept, for
// those that know no better.
func (i *Identity) Rotate() (fingerprint string, err error) {
	i.changing.Lock()
	defer i.changing.Unlock()
	key, err := newKey()
	if err != nil {
		return "", err
	}
	keys := []*ecdsa.PrivateKey{key}
	for _, c := range i.credentials() {
		if len(keys) < maxKeys {
			keys = append(keys, c.key)
		}
	}
	if err := i.replace(keys); err != nil {
		return "", err
	}
	return i.Fingerprint(), nil
}

// Retire forgets all keys but the one of that fingerprint, if that is the newest:
// nobody is to know the others any more.
func (i *Identity) Retire(newest string) error {
	i.changing.Lock()
	defer i.changing.Unlock()
	if i.Fingerprint() != newest {
		return nil // there is a newer one meanwhile
	}
	return i.replace([]*ecdsa.PrivateKey{i.credentials()[0].key})
}

// Fingerprint returns the SHA-256 of the newest public key (SPKI) in hex: what
// other agents pin.
func (i *Identity) Fingerprint() string { return i.credentials()[0].fingerprint }

// Fingerprints returns those of all keys, the newest first.
func (i *Identity) Fingerprints() []string {
	var all []string
	for _, c := range i.credentials() {
		all = append(all, c.fingerprint)
	}
	return all
}

// credentials returns all keys, the newest first.
func (i *Identity) credentials() []credential {
	if keys := i.keys.Load(); keys != nil {
		return *keys
	}
	return nil
}

// named returns the key of that fingerprint, or the newest where it is none of
// ours.
func (i *Identity) named(fingerprint string) credential {
	keys := i.credentials()
	for _, c := range keys {
		if c.fingerprint == fingerprint {
			return c
		}
	}
	return keys[0]
}

// after returns the key that is to be tried once the one of that fingerprint was
// refused: the newest where that one is none of ours any more.
func (i *Identity) after(refused string) credential {
	keys := i.credentials()
	for n, c := range keys {
		if c.fingerprint == refused {
			return keys[(n+1)%len(keys)]
		}
	}
	return keys[0]
}

// replace keeps the keys and uses them.
func (i *Identity) replace(keys []*ecdsa.PrivateKey) error {
	if err := writeKeys(i.path, i.boot, keys); err != nil {
		return err
	}
	return i.use(keys)
}

// use wraps the keys and uses them from now on.
func (i *Identity) use(keys []*ecdsa.PrivateKey) error {
	var all []credential
	for _, key := range keys {
		c, err := wrap(key)
		if err != nil {
			return err
		}
		all = append(all, c)
	}
	i.keys.Store(&all)
	return nil
}

// wrap puts the key into a certificate.
func wrap(key *ecdsa.PrivateKey) (credential, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return credential{}, fmt.Errorf("make a certificate for peers: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return credential{}, fmt.Errorf("make a certificate for peers: %w", err)
	}
	c := credential{certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, key: key}
	c.fingerprint = fingerprint(leaf)
	c.name = nameOf(c.fingerprint)
	return c, nil
}

// fingerprint returns the SHA-256 of the certificate's public key in hex.
func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}
