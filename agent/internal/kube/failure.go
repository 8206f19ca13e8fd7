package kube

import (
	"errors"
	"fmt"
)

// A Kind says how far a failed request came.
type Kind int

const (
	// Unknown is the zero Kind: the caller gave up before there was an outcome.
	Unknown Kind = iota
	// NoContact means that no API server answered: refused, timed out, cut off,
	// or not proven to be an API server.
	NoContact
	// Contact means that an API server answered, and not with what was asked
	// for: 401, 403, 429, 5xx, a redirect, garbage, half an answer. It is no
	// evidence, and no loss either.
	Contact
	// NotFound means that an API server answered that the object, or its kind,
	// does not exist.
	NotFound
)

// String returns the name of k.
func (k Kind) String() string {
	switch k {
	case NoContact:
		return "NoContact"
	case Contact:
		return "Contact"
	case NotFound:
		return "NotFound"
	case Unknown:
	}
	return "Unknown"
}

// A Failure is the error of every request that did not bring what was asked for.
type Failure struct {
	Endpoint string // the URL of the API server
	Do       string // what was to be done, such as "read roll"
	Kind     Kind
	Status   int // the HTTP status, if that is the error
	Err      error
}

// Error says what failed, where and why.
func (f *Failure) Error() string {
	return fmt.Sprintf("%s at %s: %v", f.Do, f.Endpoint, f.Err)
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// KindOf returns the Kind of the Failure in err, or Unknown if there is none.
func KindOf(err error) Kind {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f.Kind
	}
	return Unknown
}

// A Pruned error says that the API server dropped or changed a field of the
// status: its CRD is older than this agent. What it stored is not what the
// agent said, so the agent must not rely on it.
type Pruned struct {
	Field string // such as status.acked.streak
}

// Error names the field.
func (p *Pruned) Error() string {
	return fmt.Sprintf("the API server did not keep %s: update the CRDs to those of this version", p.Field)
}
