package systemd

import (
	"testing"

	"github.com/godbus/dbus/v5"
)

func TestVersion(t *testing.T) {
	s, m := newStandIn(t)
	ctx := limited(t)
	if _, _, err := m.Version(ctx); !named(err, unknownProperty) {
		t.Errorf("a manager without one: %v", err)
	}
	for text, want := range map[string]int{
		"252.38-1~deb12u1": 252, "v254.5": 254, "219": 219, "257~rc3": 257, "": 0, "devel": 0, "99999999": 0,
	} {
		s.change(func() { s.properties["Version"] = dbus.MakeVariant(text) })
		got, said, err := m.Version(ctx)
		if got != want || said != text || (err == nil) != (want != 0) {
			t.Errorf("%q: %d, %q, %v; want %d", text, got, said, err, want)
		}
	}
}
