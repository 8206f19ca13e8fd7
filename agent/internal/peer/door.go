package peer

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/credentials"
)

// A door limits how many connections of unknown keys are open at once, so that
// they cannot use up the agent's memory. Known callers always get in.
type door struct {
	credentials.TransportCredentials
	known func(key string) bool
	limit int64
	open  atomic.Int64
}

// ServerHandshake does the TLS handshake, and then looks at the key.
func (d *door) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	defer indoors(raw)
	conn, auth, err := d.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	if key, ok := authKey(auth); ok && d.known(key) {
		return conn, auth, nil
	}
	if d.open.Add(1) > d.limit {
		d.open.Add(-1)
		return nil, nil, errors.Join(errors.New("too many connections of unknown agents"), conn.Close())
	}
	return &guest{Conn: conn, leave: func() { d.open.Add(-1) }}, auth, nil
}

// Clone returns d itself: a copy would count apart.
func (d *door) Clone() credentials.TransportCredentials { return d }

// A guest is a stranger's connection, counted until it closes.
type guest struct {
	net.Conn
	once  sync.Once
	leave func()
}

// Close closes the connection and stops counting it.
func (g *guest) Close() error {
	g.once.Do(g.leave)
	return g.Conn.Close()
}
