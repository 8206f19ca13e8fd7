package hold

import (
	"errors"
	"fmt"
)

// A Code is the kind of a refusal, for those who branch on it:
// errors.Is(err, hold.ErrLatched). The zero Code is no error.
type Code uint8

const (
	// ErrInvalid: the message is garbage, or asks for what no agent can mean.
	ErrInvalid Code = iota + 1
	// ErrVersion: the other side speaks another version of the protocol.
	ErrVersion
	// ErrNotArmed: only an armed holder can do this; call Arm first.
	ErrNotArmed
	// ErrExpired: the petUntil that came with the call has passed already.
	ErrExpired
	// ErrLatched: the holder has latched and the host is being reset.
	ErrLatched
	// ErrRefused: the device must not be used; the text says why and what to
	// do about it.
	ErrRefused
	// ErrDevice: the device or its driver reported an error.
	ErrDevice
)

const lastCode = uint8(ErrDevice)

// Error returns what the code means.
func (c Code) Error() string {
	switch c {
	case ErrInvalid:
		return "invalid request"
	case ErrVersion:
		return "unknown protocol version"
	case ErrNotArmed:
		return "holder is not armed"
	case ErrExpired:
		return "petUntil has passed"
	case ErrLatched:
		return "holder has latched, the host is being reset"
	case ErrRefused:
		return "device refused"
	case ErrDevice:
		return "device failed"
	}
	return fmt.Sprintf("holder error %d", uint8(c))
}

// An Error is the holder's answer to a call that it did not carry out.
type Error struct {
	Code Code
	Text string
}

// Error returns the code's meaning and the particulars.
func (e *Error) Error() string {
	if e.Text == "" {
		return e.Code.Error()
	}
	return e.Code.Error() + ": " + e.Text
}

// Unwrap returns the Code, so that errors.Is finds it.
func (e *Error) Unwrap() error { return e.Code }

func refuse(c Code, format string, args ...any) *Error {
	return &Error{Code: c, Text: fmt.Sprintf(format, args...)}
}

// AsError returns err as the Error that a Reply carries: what it wraps, a Code
// without a text, or an ErrDevice with its text. Nil stays nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if c, ok := errors.AsType[Code](err); ok {
		return &Error{Code: c}
	}
	return refuse(ErrDevice, "%v", err)
}
