package host

import (
	"fmt"
	"os"
	"strings"
)

// An Identity names a machine and its present boot.
type Identity struct {
	// BootID is the kernel's ID of this boot.
	BootID string
	// MachineID is /etc/machine-id, empty if the host has none.
	MachineID string
	// SystemUUID is the firmware's ID of the machine, in lower case, empty if
	// it cannot be read or is a vendor's placeholder: a placeholder would make
	// two machines look like one, and a new boot of one would prove the other
	// dead.
	SystemUUID string
}

// ReadIdentity returns who the host is. Without a boot ID it is an error:
// nothing can be fenced, or refuted, without one.
func ReadIdentity(c Config) (Identity, error) {
	path := c.path("proc/sys/kernel/random/boot_id")
	text, err := os.ReadFile(path)
	if err != nil {
		return Identity{}, fmt.Errorf("read boot ID: %w", err)
	}
	boot := parseUUID(string(text))
	if boot == "" {
		return Identity{}, fmt.Errorf("read boot ID: %s holds %.60q, which is no ID", path, text)
	}
	return Identity{
		BootID:     boot,
		MachineID:  parseMachineID(readOptional(c.path("etc/machine-id"))),
		SystemUUID: parseUUID(readOptional(c.path("sys/class/dmi/id/product_uuid"))),
	}, nil
}

// placeholder reports whether vendors ship the UUID in many machines.
func placeholder(id string) bool {
	switch id {
	case "03000200-0400-0500-0006-000700080009",
		"03020100-0504-0706-0809-0a0b0c0d0e0f",
		"00020003-0004-0005-0006-000700080009",
		"12345678-1234-5678-90ab-cddeefaabbcc",
		"12345678-1234-5678-1234-567812345678",
		"01234567-8910-1112-1314-151617181920",
		"00010203-0405-0607-0809-0a0b0c0d0e0f":
		return true
	}
	return monotonous(strings.ReplaceAll(id, "-", ""))
}

// parseUUID returns a UUID in lower case, or nothing for a text that is none
// ("Not Present", "To Be Filled By O.E.M."), for one that repeats a single
// byte, and for a known placeholder.
func parseUUID(text string) string {
	id := strings.ToLower(strings.TrimSpace(text))
	parts := strings.Split(id, "-")
	if len(parts) != 5 {
		return ""
	}
	for i, n := range []int{8, 4, 4, 4, 12} {
		if !hex(parts[i], n) {
			return ""
		}
	}
	if placeholder(id) {
		return ""
	}
	return id
}

// parseMachineID returns a machine ID, or nothing for a text that is none: an
// image that was never started says "uninitialized".
func parseMachineID(text string) string {
	id := strings.TrimSpace(text)
	if !hex(id, 32) || monotonous(id) {
		return ""
	}
	return id
}

// hex reports whether s is n lower-case hexadecimal digits.
func hex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}

// monotonous reports whether the digits repeat their first two.
func monotonous(digits string) bool {
	return strings.Repeat(digits[:2], len(digits)/2) == digits
}

// readOptional returns a file's text, or nothing if it cannot be read.
func readOptional(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text)
}
