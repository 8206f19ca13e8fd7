package peer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// serverTLS accepts any agent's key: who may ask what is decided call by call,
// so that a change of the pins counts on connections that are open already.
func (i *Identity) serverTLS() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		GetCertificate:         i.show,
		ClientAuth:             tls.RequireAnyClientCert,
		SessionTicketsDisabled: true,
		VerifyPeerCertificate:  onlyP256,
	}
}

// clientTLS shows the own key, and accepts the pinned one and no other. Names,
// dates and chains are not looked at: TLS 1.3 proves that the server has the key
// of the certificate that it shows, and the pin says which key that must be.
func clientTLS(own credential, pin string) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		ServerName:             nameOf(pin),
		Certificates:           []tls.Certificate{own.certificate},
		InsecureSkipVerify:     true, // the pin below replaces it
		SessionTicketsDisabled: true,
		VerifyPeerCertificate:  onlyP256,
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return errors.New("peer shows no certificate")
			}
			if got := fingerprint(state.PeerCertificates[0]); got != pin {
				return &wrongKey{got: got, pin: pin}
			}
			return nil
		},
	}
}

// A wrongKey error says that a server has shown another key than the pinned one.
type wrongKey struct{ got, pin string }

func (w *wrongKey) Error() string {
	return fmt.Sprintf("peer's key is %s, pinned is %s: it may have rebooted and not published its new key yet", w.got, w.pin)
}

// wanted ends the server names by which agents ask for a key.
const wanted = ".key.picket"

// nameOf is the server name that asks for the key of that fingerprint. A part of
// it tells a handful of keys apart, and fits into a name; whether the key is the
// right one is checked afterwards.
func nameOf(fingerprint string) string {
	return fingerprint[:min(len(fingerprint), 32)] + wanted
}

// show returns the key that the client asks for. One that asks for none of ours
// gets the newest, and will say what it has pinned. Agents of versions before
// this one cannot say: they get each key in its turn, and try again.
func (i *Identity) show(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	keys := i.credentials()
	if n := byName(keys, hello.ServerName); n >= 0 {
		return &keys[n].certificate, nil
	}
	if len(keys) == 1 || strings.HasSuffix(hello.ServerName, wanted) {
		return &keys[0].certificate, nil
	}
	return &keys[i.turn.Add(1)%uint64(len(keys))].certificate, nil
}

// asked returns the fingerprint of the key that a client has pinned that has asked
// by that name, some time ago: empty if it is none of ours any more, or if the
// client could not say. While there is one key, it has that one.
func (i *Identity) asked(name string) string {
	keys := i.credentials()
	n := byName(keys, name)
	if n < 0 && len(keys) == 1 && !strings.HasSuffix(name, wanted) {
		n = 0
	}
	if n < 0 {
		return ""
	}
	return keys[n].fingerprint
}

// byName returns which of the keys the name asks for, −1 if none.
func byName(keys []credential, name string) int {
	return slices.IndexFunc(keys, func(c credential) bool { return c.name == name })
}

// onlyP256 refuses keys of any other kind before their signature is checked:
// agents make P-256 keys, and a stranger's huge RSA key would only cost time.
func onlyP256(certificates [][]byte, _ [][]*x509.Certificate) error {
	if len(certificates) != 1 {
		return fmt.Errorf("peer shows %d certificates: agents have one", len(certificates))
	}
	leaf, err := x509.ParseCertificate(certificates[0])
	if err != nil {
		return fmt.Errorf("peer's certificate: %w", err)
	}
	if key, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		return errors.New("peer's key is not ECDSA P-256")
	}
	return nil
}

// callerKey returns the fingerprint of the key behind a call.
func callerKey(ctx context.Context) (string, bool) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "", false
	}
	return authKey(p.AuthInfo)
}

// authKey returns the fingerprint of the key behind a connection.
func authKey(auth credentials.AuthInfo) (string, bool) {
	info, ok := auth.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return "", false
	}
	return fingerprint(info.State.PeerCertificates[0]), true
}
