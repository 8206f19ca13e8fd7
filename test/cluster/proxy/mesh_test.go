package proxy

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"
)

// town is a mesh of two nodes, a and b, each with an echo server that prefixes
// the client's address.
type town struct {
	mesh         *Mesh
	port, target int
	addr         map[string]netip.Addr
}

func newTown(t *testing.T) *town {
	t.Helper()
	block := byte(1 + rand.IntN(250))
	v := &town{
		port:   12000 + rand.IntN(5000),
		target: 18000 + rand.IntN(5000),
		addr: map[string]netip.Addr{
			"a": netip.AddrFrom4([4]byte{127, 88, block, 10}),
			"b": netip.AddrFrom4([4]byte{127, 88, block, 11}),
		},
	}
	for _, addr := range v.addr {
		listener, err := net.Listen("tcp", netip.AddrPortFrom(addr, uint16(v.target)).String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		go echo(listener)
	}
	var err error
	if v.mesh, err = NewMesh(v.addr, v.port, v.target); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.mesh.Close)
	return v
}

func echo(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			for scanner := bufio.NewScanner(conn); scanner.Scan(); {
				fmt.Fprintf(conn, "%s %s\n", host, scanner.Text())
			}
		}()
	}
}

// dial connects as one node to another, the way an agent does.
func (v *town) dial(t *testing.T, from, to string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: v.addr[from].AsSlice()}, Timeout: 5 * time.Second}
	conn, err := dialer.Dial("tcp", net.JoinHostPort(v.addr[to].String(), strconv.Itoa(v.port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// ask sends a line and reads the answer, empty at the deadline.
func ask(t *testing.T, conn net.Conn, line string, within time.Duration) string {
	t.Helper()
	if line != "" {
		if _, err := fmt.Fprintln(conn, line); err != nil {
			t.Fatal(err)
		}
	}
	deadline(conn, within)
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil && !isTimeout(err) {
		t.Fatal(err)
	}
	return answer
}

const (
	soon  = 5 * time.Second
	never = 100 * time.Millisecond
)

func TestMeshKeepsTheSourceAddress(t *testing.T) {
	v := newTown(t)
	conn := v.dial(t, "a", "b")
	if got, want := ask(t, conn, "hello", soon), v.addr["a"].String()+" hello\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMeshCutOneWay(t *testing.T) {
	for _, test := range []struct{ name, from, to string }{
		{"the question is lost", "a", "b"},
		{"the answer is lost", "b", "a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := newTown(t)
			conn := v.dial(t, "a", "b")
			ask(t, conn, "before", soon)
			v.mesh.Set(test.from, test.to, Cut())
			if got := ask(t, conn, "during", never); got != "" {
				t.Errorf("a cut link carried %q", got)
			}
			// Nothing opens either, whoever dials: the handshake needs both ways.
			late := v.dial(t, "b", "a")
			if got := ask(t, late, "new", never); got != "" {
				t.Errorf("a new connection carried %q", got)
			}
			v.mesh.Set(test.from, test.to, Pass())
			if got := ask(t, conn, "", soon); got == "" {
				t.Error("the bytes that waited are lost")
			}
			if got := ask(t, late, "", soon); got == "" {
				t.Error("the connection that waited never opened")
			}
		})
	}
}

func TestMeshOneWayLeavesTheOtherWayOpen(t *testing.T) {
	v := newTown(t)
	there, back := v.dial(t, "a", "b"), v.dial(t, "b", "a")
	ask(t, there, "x", soon)
	ask(t, back, "x", soon)
	v.mesh.Set("a", "b", Cut())
	// b's question to a arrives, a's answer does not; a's own question neither.
	if got := ask(t, back, "question", never); got != "" {
		t.Errorf("the answer came back: %q", got)
	}
	if got := ask(t, there, "question", never); got != "" {
		t.Errorf("a's question arrived: %q", got)
	}
}

func TestMeshDelayAddsToEachWay(t *testing.T) {
	v := newTown(t)
	conn := v.dial(t, "a", "b")
	v.mesh.SetBoth("a", "b", Delay(60*time.Millisecond))
	start := time.Now()
	ask(t, conn, "x", soon)
	if took := time.Since(start); took < 120*time.Millisecond {
		t.Errorf("there and back took %s, want at least 120 ms", took)
	}
}

func TestMeshPowerResetsOldConnections(t *testing.T) {
	v := newTown(t)
	conn := v.dial(t, "a", "b")
	ask(t, conn, "x", soon)
	v.mesh.SetPower("b", false)
	if got := ask(t, conn, "x", never); got != "" {
		t.Errorf("a machine without power said %q", got)
	}
	v.mesh.SetPower("b", true)
	deadline(conn, soon)
	if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("a connection of the last boot: %v, want a reset", err)
	}
	if got := ask(t, v.dial(t, "a", "b"), "x", soon); got == "" {
		t.Error("no answer after power-on")
	}
}

func TestMeshRefusesStrangers(t *testing.T) {
	v := newTown(t)
	conn, err := net.Dial("tcp", net.JoinHostPort(v.addr["b"].String(), strconv.Itoa(v.port)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	deadline(conn, soon)
	if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("a stranger's connection: %v, want an end", err)
	}
	if v.mesh.Strangers() != 1 {
		t.Errorf("counted %d strangers", v.mesh.Strangers())
	}
}
