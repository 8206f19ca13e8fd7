package view

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/picket-dev/picket/proto/screen"
)

// none stands for what there is not.
const none = "-"

// since shows an age; "-" if there is none.
func since(d *durationpb.Duration) string {
	if d == nil {
		return none
	}
	return screen.Span(d.AsDuration())
}

// exact shows a deadline or one of its terms to a tenth of a second, in one word
// that no line's end breaks.
func exact(d *durationpb.Duration) string {
	if d == nil {
		return none
	}
	return fmt.Sprintf("%.1fs", d.AsDuration().Seconds())
}

// trip shows a round trip or a delay, with a decimal below ten milliseconds.
func trip(d *durationpb.Duration) string {
	switch x := d.AsDuration(); {
	case d == nil:
		return none
	case x < 10*time.Millisecond:
		return fmt.Sprintf("%.1fms", float64(x)/float64(time.Millisecond))
	default:
		return screen.Span(x)
	}
}
