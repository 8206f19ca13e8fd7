package doctor

import (
	"fmt"
	"strconv"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// stale returns how the reads of the Roll show that an answer was old, or nothing.
// The guards were read before the first of them. Serials of other histories say
// nothing.
func stale(guards []v1alpha1.NodeGuard, reads []v1alpha1.Roll) string {
	for i := range reads {
		r := &reads[i]
		for j := range guards {
			a := guards[j].Status.Acked
			if a.History == r.Spec.History && a.Serial > r.Spec.Serial {
				return fmt.Sprintf("the API server showed the Roll at serial %d, though %s had read serial %d before", r.Spec.Serial, guards[j].Name, a.Serial)
			}
		}
		if i == 0 {
			continue
		}
		before, err := strconv.ParseUint(reads[i-1].ResourceVersion, 10, 64)
		now, err2 := strconv.ParseUint(r.ResourceVersion, 10, 64)
		if err == nil && err2 == nil && now < before {
			return fmt.Sprintf("the API server showed the Roll at resourceVersion %d, and after that at %d", before, now)
		}
	}
	return ""
}
