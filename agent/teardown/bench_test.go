package teardown

import (
	"fmt"
	"testing"
)

// crowd returns a host with the given number of volumes, each on multipath over
// two sessions of its own, half of them stale.
func crowd(volumes int) *shape {
	s := node()
	for i := range volumes {
		a, b := fmt.Sprint(2*i+1), fmt.Sprint(2*i+2)
		iqn := fmt.Sprintf("iqn.2026-03.example:t%d", i)
		s.session(a, iqn, portalA)
		s.session(b, iqn, portalB)
		w := fmt.Sprintf("w%d", i)
		m := s.over(Multipath, "dm-"+fmt.Sprint(20+i), "mpath"+w, s.lun("sd-a"+w, a, 1, w), s.lun("sd-b"+w, b, 1, w))
		s.volume(m, volumeShape{pv: fmt.Sprintf("pv-%d", i), moved: i%2 == 0})
	}
	return s
}

// 35 volumes are 105 devices and 500 mounts, for which an inventory has 200 ms.
func BenchmarkMake(b *testing.B) {
	s := crowd(35)
	b.Logf("%d mounts, %d devices", len(s.inv.Mounts), len(s.inv.Devices))
	for b.Loop() {
		if p := Make(s.inv, s.api, sameClean); p.State != Work {
			b.Fatal(p.Why)
		}
	}
}
