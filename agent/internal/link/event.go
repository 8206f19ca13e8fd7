package link

import "github.com/picket-dev/picket/proto/timing"

// A Kind says what changed.
type Kind int

const (
	// Unknown is the zero Kind: changes may have been missed. Its Event has
	// neither an interface nor an address.
	Unknown Kind = iota
	// Carrier is an interface that got or lost its link.
	Carrier
	// Address is an address that came or went.
	Address
	// Route is a route that came or went.
	Route
)

// String returns the Kind as one lower-case word.
func (k Kind) String() string {
	switch k {
	case Carrier:
		return "carrier"
	case Address:
		return "address"
	case Route:
		return "route"
	case Unknown:
	}
	return "unknown"
}

// An Event is one change of the host's network.
type Event struct {
	Kind      Kind
	Interface string         // its name; empty if the change names none
	What      string         // the address or the route's destination, as CIDR; empty for a carrier
	Up        bool           // came, as opposed to went
	At        timing.Instant // when it was noticed
}
