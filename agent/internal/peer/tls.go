package peer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// serverTLS accepts any agent's key: who may ask what is decided call by call,
// so that a change of the pins counts on connections that are open already.
func (i *Identity) serverTLS() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{i.certificate},
		ClientAuth:             tls.RequireAnyClientCert,
		SessionTicketsDisabled: true,
		VerifyPeerCertificate:  onlyP256,
	}
}

// clientTLS accepts the pinned key and no other. Names, dates and chains are
// not looked at: TLS 1.3 proves that the server has the key of the certificate
// that it shows, and the pin says which key that must be.
func (i *Identity) clientTLS(pin string) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{i.certificate},
		InsecureSkipVerify:     true, // the pin below replaces it
		SessionTicketsDisabled: true,
		VerifyPeerCertificate:  onlyP256,
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return errors.New("peer shows no certificate")
			}
			if got := fingerprint(state.PeerCertificates[0]); got != pin {
				return fmt.Errorf("peer's key is %s, pinned is %s: it may have rebooted and not published its new key yet", got, pin)
			}
			return nil
		},
	}
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
