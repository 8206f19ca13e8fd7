package hostile

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// An Attack is what is done to one agent.
type Attack struct {
	// Target is where the agent listens, on loopback.
	Target netip.AddrPort
	// Neighbour is the key file of one of its neighbours: the worst that can be
	// stolen.
	Neighbour string
	// Messages is how many malformed messages are sent, and HalfOpen how many
	// connections are left unfinished afterwards.
	Messages, HalfOpen int
	// Seed makes the same garbage again.
	Seed uint64
}

// atOnce is how many attackers work at the same time.
const atOnce = 8

// within bounds one message, and the life of a half-open connection.
const within = 15 * time.Second

// Malformed sends the messages and returns how many reached the agent. Whatever it
// answers is well; a message that could not be sent at all is an error.
func (a Attack) Malformed(ctx context.Context) (sent int, err error) {
	if !a.Target.Addr().IsLoopback() {
		return 0, fmt.Errorf("attack %s: it is not on loopback", a.Target)
	}
	stolen, err := readKey(a.Neighbour)
	if err != nil {
		return 0, err
	}
	var count atomic.Int64
	all, ctx := errgroup.WithContext(ctx)
	for n := range atOnce {
		x := &attacker{target: a.Target.String(), stolen: stolen, random: rand.New(rand.NewPCG(a.Seed, uint64(n)))} //nolint:gosec // to be repeated
		if x.foreign, err = newKey(); err != nil {
			return 0, err
		}
		share := a.Messages / atOnce
		if n == 0 {
			share += a.Messages % atOnce
		}
		all.Go(func() error {
			defer x.hangUp()
			for range share {
				try, cancel := context.WithTimeout(ctx, within)
				err := x.send(try)
				cancel()
				if err != nil {
					return err
				}
				count.Add(1)
			}
			return nil
		})
	}
	err = all.Wait()
	return int(count.Load()), err
}

// Unfinished opens connections and finishes no handshake: half of them say nothing,
// the others begin to. It returns how many the agent had closed by the end, and
// waits for the last one.
func (a Attack) Unfinished(ctx context.Context) (opened, closed int, err error) {
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	dialer := net.Dialer{Timeout: within}
	for n := range a.HalfOpen {
		c, err := dialer.DialContext(ctx, "tcp", a.Target.String())
		if err != nil {
			return len(conns), 0, fmt.Errorf("open connection %d: %w", n+1, err)
		}
		conns = append(conns, c)
		if n%2 == 1 {
			_, _ = c.Write([]byte{22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}) // a ClientHello of 512 bytes
		}
	}
	end := time.Now().Add(within)
	for _, c := range conns {
		_ = c.SetReadDeadline(end)
		for err = nil; err == nil; {
			_, err = c.Read(make([]byte, 256))
		}
		if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
			closed++
		}
	}
	return len(conns), closed, nil
}

// newKey makes a key as agents have it, and a certificate around it.
func newKey() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	return wrap(key)
}

// readKey reads the key that an agent keeps.
func readKey(file string) (tls.Certificate, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return tls.Certificate{}, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return tls.Certificate{}, fmt.Errorf("%s holds no key", file)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s: %w", file, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return tls.Certificate{}, fmt.Errorf("%s holds a %T", file, parsed)
	}
	return wrap(key)
}

func wrap(key *ecdsa.PrivateKey) (tls.Certificate, error) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(crand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
