package controlplane

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// FreePort finds a TCP port that nobody listens on. It stays below the range
// from which the kernel picks source ports (32768 and up): a server that is
// stopped for a while must find its port free when it comes back.
func FreePort(ip net.IP) (int, error) {
	const low, high, tries = 10000, 32768, 100
	var last error
	for range tries {
		port := low + rand.IntN(high-low)
		listener, err := net.Listen("tcp", net.JoinHostPort(ip.String(), strconv.Itoa(port)))
		if err != nil {
			last = err
			continue
		}
		listener.Close()
		return port, nil
	}
	return 0, fmt.Errorf("find a free port on %s: %w", ip, last)
}
