package iscsi

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"sync"
)

// A session is what a connection's two directions know of its login. It is
// complete before the initiator gets the response that lets it send commands.
type session struct {
	mu        sync.Mutex
	open      bool // full feature phase: the login is over
	discovery bool
	initiator string
	target    string
	isid      string
	framing   framing
	asked     keys
	answered  keys
}

// Stages of a login that its flags name.
const (
	transit          = 0x80
	goOn             = 0x40
	fullFeaturePhase = 3
)

// request takes in what the initiator asks for.
func (s *session) request(p pdu) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		return fmt.Errorf("a login request after the login: %w", errNotUnderstood)
	}
	s.isid = hex.EncodeToString(p.raw[8:14])
	return s.asked.add(p.data(), p.flags()&goOn != 0)
}

// response takes in what the target answers, and settles the session with the
// answer that ends the login.
func (s *session) response(p pdu) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.answered.add(p.data(), p.flags()&goOn != 0); err != nil {
		return err
	}
	success := p.raw[36] == 0
	if !success || p.flags()&transit == 0 || p.flags()&3 != fullFeaturePhase {
		return nil
	}
	var err error
	if s.framing.header, err = s.checksum("HeaderDigest"); err != nil {
		return err
	}
	if s.framing.data, err = s.checksum("DataDigest"); err != nil {
		return err
	}
	s.initiator, s.target = s.asked.value["InitiatorName"], s.asked.value["TargetName"]
	s.discovery = s.asked.value["SessionType"] == "Discovery"
	if s.initiator == "" {
		return fmt.Errorf("a login without InitiatorName: %w", errNotUnderstood)
	}
	if s.target == "" && !s.discovery {
		return fmt.Errorf("a login without TargetName: %w", errNotUnderstood)
	}
	s.open = true
	return nil
}

// checksum reports whether a digest was agreed on. The target decides among
// what the initiator offers; a target that offers by itself is unknown here.
func (s *session) checksum(key string) (bool, error) {
	switch answer := s.answered.value[key]; answer {
	case "", "None":
		return false, nil
	case "CRC32C":
		if s.asked.value[key] != "" {
			return true, nil
		}
		fallthrough
	default:
		return false, fmt.Errorf("%s asked for as %q and answered as %q: %w", key, s.asked.value[key], answer, errNotUnderstood)
	}
}

// settled returns the framing and whether the login is over.
func (s *session) settled() (framing, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.framing, s.open
}

// name returns who logged in, empty before that, for messages.
func (s *session) name() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.initiator
}

// stamp puts who is logged in, and where, into a record.
func (s *session) stamp(w *Write) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.discovery {
		return fmt.Errorf("a SCSI command in a discovery session: %w", errNotUnderstood)
	}
	w.Initiator, w.Target, w.ISID = s.initiator, s.target, s.isid
	return nil
}

// keys collects the key=value pairs that one side of a login sends, which may
// be cut anywhere into several PDUs.
type keys struct {
	value map[string]string
	part  []byte // of a text that goes on
}

// maxLoginText bounds a text over all its PDUs, in bytes; RFC 7143 asks
// everybody to take 64 KiB.
const maxLoginText = 64 << 10

func (k *keys) add(text []byte, more bool) error {
	k.part = append(k.part, text...)
	if len(k.part) > maxLoginText {
		return fmt.Errorf("more than %d bytes of login text: %w", maxLoginText, errNotUnderstood)
	}
	if more {
		return nil
	}
	if k.value == nil {
		k.value = make(map[string]string)
	}
	for pair := range bytes.SplitSeq(k.part, []byte{0}) {
		if len(pair) == 0 {
			continue
		}
		name, value, ok := bytes.Cut(pair, []byte("="))
		if !ok {
			return fmt.Errorf("login text %q without a value: %w", pair, errNotUnderstood)
		}
		k.value[string(name)] = string(value)
	}
	k.part = nil
	return nil
}
