package hostile

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

// An attacker sends one message after the other.
type attacker struct {
	target          string
	stolen, foreign tls.Certificate
	random          *rand.Rand

	lines []*grpc.ClientConn // under the stolen key, and under one of nobody's
}

// send sends one malformed message, half of them as requests.
func (x *attacker) send(ctx context.Context) error {
	switch n := x.random.IntN(100); {
	case n < 20:
		return x.noTLS(ctx)
	case n < 30:
		return x.otherTLS(ctx)
	case n < 40:
		return x.noHTTP(ctx)
	case n < 50:
		return x.tooLarge(ctx)
	default:
		return x.noMessage(ctx)
	}
}

// garbage returns up to so many random bytes.
func (x *attacker) garbage(most int) []byte {
	b := make([]byte, 1+x.random.IntN(most))
	for i := range b {
		b[i] = byte(x.random.Uint32())
	}
	return b
}

// key is the stolen key half of the time.
func (x *attacker) key() tls.Certificate {
	if x.random.IntN(2) == 0 {
		return x.stolen
	}
	return x.foreign
}

// raw opens a connection.
func (x *attacker) raw(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", x.target)
	if err != nil {
		return nil, fmt.Errorf("the agent's port is closed: %w", err)
	}
	end, _ := ctx.Deadline()
	_ = c.SetDeadline(end)
	return c, nil
}

// say sends the bytes and hears the agent out.
func say(c io.ReadWriter, b []byte) {
	_, _ = c.Write(b)
	_, _ = io.CopyN(io.Discard, c, 1<<16) // until it hangs up
}

// noTLS sends what is none: garbage, HTTP, another protocol's greeting, or a TLS
// record of an impossible length.
func (x *attacker) noTLS(ctx context.Context) error {
	c, err := x.raw(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	first := [][]byte{
		x.garbage(2000), []byte("GET / HTTP/1.1\r\nHost: picket\r\n\r\n"), []byte("SSH-2.0-OpenSSH_9.2\r\n"),
		append([]byte{22, 3, 3, 0xff, 0xff}, x.garbage(100)...), append([]byte{23, 3, 3, 0, 20}, x.garbage(20)...),
	}[x.random.IntN(5)]
	_, _ = c.Write(first)
	if half, ok := c.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.CopyN(io.Discard, c, 1<<16)
	return nil
}

// otherTLS asks for TLS of an earlier version.
func (x *attacker) otherTLS(ctx context.Context) error {
	c, err := x.raw(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	version := []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12}[x.random.IntN(3)]
	conn := tls.Client(c, &tls.Config{
		MinVersion: version, MaxVersion: version, InsecureSkipVerify: true, //nolint:gosec // that is the attack
		Certificates: []tls.Certificate{x.key()}, NextProtos: []string{"h2"},
	})
	if conn.HandshakeContext(ctx) == nil {
		return fmt.Errorf("the agent speaks TLS version %#x", version)
	}
	return nil
}

// noHTTP does a good handshake, and then no HTTP/2.
func (x *attacker) noHTTP(ctx context.Context) error {
	c, err := x.raw(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	conn := tls.Client(c, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{x.key()}, NextProtos: []string{"h2"}}) //nolint:gosec // as above
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil // it may have hung up on strangers
	}
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	say(conn, [][]byte{
		x.garbage(2000), append([]byte(preface), x.garbage(2000)...),
		append([]byte(preface+"\x00\x00\x00\x04\x00\x00\x00\x00\x00"), x.garbage(500)...),                    // after its settings
		[]byte(preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00\xff\xff\xff\x01\x05\x00\x00\x00\x01"),         // a frame of 16 MB
		[]byte(preface + strings.Repeat("\x00\x00\x08\x06\x00\x00\x00\x00\x00pingpong", 64)), []byte("\x00"), // pings without end
	}[x.random.IntN(6)])
	return nil
}

// noMessage calls every method with bytes that are no message, or one that makes no
// sense.
func (x *attacker) noMessage(ctx context.Context) error {
	body := x.garbage(300)
	if x.random.IntN(2) == 0 {
		good, err := proto.Marshal(&peerv1.HeartbeatRequest{
			Node: "node-1", BootId: "b", Number: x.random.Uint64(), Statement: true,
			SelfTest: &peerv1.SelfTest{BootId: "b", PetAge: durationpb.New(-time.Hour)},
		})
		if err != nil {
			return err
		}
		for range 1 + x.random.IntN(4) {
			good[x.random.IntN(len(good))] ^= 1 << x.random.IntN(8)
		}
		body = good
	}
	method := []string{peerv1.Peer_Heartbeat_FullMethodName, peerv1.Peer_Statement_FullMethodName, "/picket.peer.v1.Peer/Nothing", peerv1.Admin_Status_FullMethodName}[x.random.IntN(4)]
	return x.call(ctx, method, body)
}

// tooLarge calls with a message or with headers that are larger than any.
func (x *attacker) tooLarge(ctx context.Context) error {
	if x.random.IntN(2) == 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-large", strings.Repeat("x", 10<<10))
		return x.call(ctx, peerv1.Peer_Heartbeat_FullMethodName, nil)
	}
	return x.call(ctx, peerv1.Peer_Heartbeat_FullMethodName, make([]byte, 5<<10+x.random.IntN(64<<10)))
}

// call sends bytes as a request over a kept connection. An agent that does not
// answer at all is the error; what it answers is its business.
func (x *attacker) call(ctx context.Context, method string, body []byte) error {
	if x.lines == nil {
		for _, key := range []tls.Certificate{x.stolen, x.foreign} {
			conn, err := grpc.NewClient("passthrough:///"+x.target, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
				InsecureSkipVerify: true, Certificates: []tls.Certificate{key}, //nolint:gosec // as above
			})))
			if err != nil {
				return err
			}
			x.lines = append(x.lines, conn)
		}
	}
	var answer []byte
	err := x.lines[x.random.IntN(len(x.lines))].Invoke(ctx, method, body, &answer, grpc.ForceCodec(asIs{}), grpc.WaitForReady(true))
	if status.Code(err) == codes.DeadlineExceeded {
		return fmt.Errorf("%s: the agent does not answer: %w", method, err)
	}
	return nil
}

// hangUp closes the kept connections.
func (x *attacker) hangUp() {
	for _, l := range x.lines {
		_ = l.Close() // it never says more than that it was closed before
	}
}

// asIs is a codec that changes nothing.
type asIs struct{}

func (asIs) Marshal(v any) ([]byte, error) {
	b, _ := v.([]byte)
	return b, nil
}

func (asIs) Unmarshal(data []byte, v any) error {
	if b, ok := v.(*[]byte); ok {
		*b = data
	}
	return nil
}

func (asIs) Name() string { return "proto" }
