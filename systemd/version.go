package systemd

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Version returns the manager's release, such as 252, and the whole text by which
// it names itself.
func (m *Manager) Version(ctx context.Context) (release int, text string, err error) {
	if err := m.get(ctx, "Version", &text); err != nil {
		return 0, "", err
	}
	if release, err = parseRelease(text); err != nil {
		return 0, text, fmt.Errorf("version of systemd: %w", err)
	}
	return release, text, nil
}

// parseRelease returns the number that a version begins with: distributions add
// their own after it.
func parseRelease(text string) (int, error) {
	digits := strings.TrimPrefix(text, "v")
	if i := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		digits = digits[:i]
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%.60q begins with no number", text)
	}
	return int(n), nil
}
