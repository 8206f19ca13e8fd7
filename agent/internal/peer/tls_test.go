package peer

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/durationpb"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

func TestWrongPinIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		p := b.at("b:1")
		p.Fingerprint = a.id.Fingerprint()
		a.setPeers(Peers{Neighbours: []Peer{p}})
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		noBeat(t, a, "b", "pinned is "+a.id.Fingerprint())
		if len(b.server.Heard()) != 0 {
			t.Error("a request went to a server with the wrong key")
		}
	})
}

// selfSigned wraps any key.
func selfSigned(t *testing.T, public, private any) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

func ed25519Certificate(t *testing.T) tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return selfSigned(t, public, private)
}

func p384Certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return selfSigned(t, key.Public(), key)
}

func TestServerRefusesOtherHandshakes(t *testing.T) {
	tests := []struct {
		name  string
		setup func(t *testing.T, good tls.Certificate) *tls.Config
		want  string
	}{
		{"TLS 1.2", func(_ *testing.T, good tls.Certificate) *tls.Config {
			return &tls.Config{MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{good}}
		}, "protocol version"},
		{"no certificate", func(*testing.T, tls.Certificate) *tls.Config { return &tls.Config{} }, "certificate required"},
		{"Ed25519 key", func(t *testing.T, _ tls.Certificate) *tls.Config {
			return &tls.Config{Certificates: []tls.Certificate{ed25519Certificate(t)}}
		}, "bad certificate"},
		{"P-384 key", func(t *testing.T, _ tls.Certificate) *tls.Config {
			return &tls.Config{Certificates: []tls.Certificate{p384Certificate(t)}}
		}, "bad certificate"},
		{"two certificates", func(_ *testing.T, good tls.Certificate) *tls.Config {
			two := good
			two.Certificate = append(two.Certificate, two.Certificate...)
			return &tls.Config{Certificates: []tls.Certificate{two}}
		}, "bad certificate"},
		{"good", func(_ *testing.T, good tls.Certificate) *tls.Config {
			return &tls.Config{Certificates: []tls.Certificate{good}}
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w, now := newWire(), clock()
				b := newAgent(t, w, now, "b", "b:1")
				defer b.close()
				raw, err := w.dial(context.Background(), "b:1")
				if err != nil {
					t.Fatal(err)
				}
				defer raw.Close()
				c := tt.setup(t, b.id.credentials()[0].certificate)
				c.InsecureSkipVerify = true
				c.NextProtos = []string{"h2"}
				conn := tls.Client(raw, c)
				err = conn.Handshake()
				if err == nil { // in TLS 1.3 the server judges later
					_ = conn.SetReadDeadline(time.Now().Add(time.Second))
					_, err = conn.Read(make([]byte, 64))
				}
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("handshake: %v, want %q", err, tt.want)
				}
				if conn.ConnectionState().DidResume {
					t.Error("the session was resumed")
				}
			})
		})
	}
}

// serveRaw serves each connection to the address with the function.
func serveRaw(t *testing.T, w *wire, address string, serve func(net.Conn)) (stop func()) {
	t.Helper()
	l := w.listen(address)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return func() { _ = l.Close(); <-done }
}

func TestClientRefusesOtherHandshakes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b")
		defer a.close()
		defer b.close()
		stop := serveRaw(t, w, "old:1", func(conn net.Conn) {
			_ = tls.Server(conn, &tls.Config{MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{b.id.credentials()[0].certificate}}).Handshake()
		})
		defer stop()
		a.setPeers(Peers{Neighbours: []Peer{b.at("old:1")}})
		noBeat(t, a, "b", "protocol version")
	})
}

func TestGarbageFromClientsDoesNoHarm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		random := mrand.New(mrand.NewPCG(1, 2))
		garbage := func(n int) []byte {
			buf := make([]byte, n)
			for i := range buf {
				buf[i] = byte(random.Uint32())
			}
			return buf
		}
		for i := range 40 {
			raw, err := w.dial(context.Background(), "b:1")
			if err != nil {
				t.Fatal(err)
			}
			conn := raw
			if i%2 == 1 { // with a good handshake first
				conn = tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, Certificates: []tls.Certificate{a.id.credentials()[0].certificate}})
			}
			_ = conn.SetDeadline(time.Now().Add(time.Second))
			if i%4 == 3 { // and the preface of HTTP/2
				_, _ = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
			}
			_, _ = conn.Write(garbage(1 + random.IntN(2000)))
			_, _ = io.Copy(io.Discard, conn)
			_ = raw.Close()
		}
		silent, err := w.dial(context.Background(), "b:1")
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		beat(t, a, "b")
		pass(handshake + time.Second)
		if _, open := w.counts("b:1"); open != 1 {
			t.Errorf("%d connections are open: one that never spoke was not closed", open)
		}
	})
}

func TestGarbageFromServersDoesNoHarm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b")
		defer a.close()
		defer b.close()
		for name, serve := range map[string]func(net.Conn){
			"raw":    func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n") },
			"silent": func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
			"tls": func(c net.Conn) {
				s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{b.id.credentials()[0].certificate}, NextProtos: []string{"h2"}})
				_, _ = io.WriteString(s, strings.Repeat("\xff\x00garbage", 200))
			},
		} {
			stop := serveRaw(t, w, name+":1", serve)
			a.setPeers(Peers{Neighbours: []Peer{b.at(name + ":1")}})
			noBeat(t, a, "b", "")
			a.setPeers(Peers{})
			pass(10 * time.Second)
			stop()
		}
	})
}

// liar is a peer with the right key that answers nonsense.
type liar struct {
	peerv1.UnimplementedPeerServer
	beat *peerv1.HeartbeatReply
	said *peerv1.StatementReply
}

func (l *liar) Heartbeat(context.Context, *peerv1.HeartbeatRequest) (*peerv1.HeartbeatReply, error) {
	return l.beat, nil
}

func (l *liar) Statement(context.Context, *peerv1.StatementRequest) (*peerv1.StatementReply, error) {
	return l.said, nil
}

// serveAs serves at the address with the agent's key, and returns what ends it.
func serveAs(t *testing.T, w *wire, a *agent, address string, p peerv1.PeerServer) func() {
	t.Helper()
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(a.id.serverTLS())))
	peerv1.RegisterPeerServer(s, p)
	h := w.listen(address)
	go func() {
		if err := s.Serve(h); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	}()
	return s.Stop
}

func TestNonsenseFromPeersIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b")
		defer a.close()
		defer b.close()
		bad := peerv1.EncodeRoll(sampleRoll(0))
		l := &liar{}
		defer serveAs(t, w, b, "b:1", l)()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})

		l.beat = &peerv1.HeartbeatReply{Node: "b"}
		noBeat(t, a, "b", `in boot ""`)
		l.beat = &peerv1.HeartbeatReply{Node: "b", BootId: "x", Relay: &peerv1.Relay{Roll: bad, Age: durationpb.New(0)}}
		if r := beat(t, a, "b"); r.Relay != nil || r.RelayError == nil {
			t.Errorf("an invalid roll is relayed: %+v", r)
		}
		l.beat = &peerv1.HeartbeatReply{Node: "b", BootId: "x",
			Relay:    &peerv1.Relay{Roll: peerv1.EncodeRoll(sampleRoll(1)), Age: durationpb.New(-time.Hour)},
			HeardYou: durationpb.New(-time.Hour)}
		if r := beat(t, a, "b"); r.Relay != nil || r.RelayError == nil || !r.HeardYou.IsZero() {
			t.Errorf("a reply of the future counts: %+v", r)
		}
		l.said = &peerv1.StatementReply{Node: "b", Roll: bad}
		if _, ok, err := a.client.Statement(context.Background(), "b"); ok || err == nil {
			t.Errorf("an invalid statement counts: %v, %v", ok, err)
		}
	})
}

func TestStrangersCannotUseUpTheConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		b := newAgentWith(t, w, "b", []string{"b:1"}, func(c *Config) { c.Now, c.Strangers = now, 2 })
		known := newAgent(t, w, now, "known")
		defer b.close()
		defer known.close()
		b.setPeers(Peers{Callers: []Peer{known.at()}})
		known.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		ask := func(x *agent) error {
			x.setPeers(Peers{Witnesses: []Peer{b.at("b:1")}})
			_, _, err := x.client.Statement(context.Background(), "b")
			return err
		}
		one, two, three := newAgent(t, w, now, "one"), newAgent(t, w, now, "two"), newAgent(t, w, now, "three")
		for _, x := range []*agent{one, two, three} {
			defer x.close()
		}
		for _, x := range []*agent{one, two} {
			if err := ask(x); err != nil {
				t.Fatal(err)
			}
		}
		if err := ask(three); err == nil {
			t.Error("a third stranger was let in, 2 are allowed")
		}
		beat(t, known, "b")
		one.close()
		pass(time.Second)
		if err := ask(three); err != nil {
			t.Errorf("the place of a stranger that left is not free: %v", err)
		}
	})
}
