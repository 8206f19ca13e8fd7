package main

import (
	"fmt"

	"github.com/picket-dev/picket/test/sim/world"
)

// tries bounds how long a violation is made smaller.
const tries = 400

// shrink drops faults, and then what only matters little, as long as the same
// promise is still broken.
func shrink(s world.Setting, violation string) world.Setting {
	left := tries
	fails := func(c world.Setting) bool {
		left--
		return left >= 0 && world.Run(c, nil).Violation == violation
	}
	for again := true; again; {
		again = false
		for i := range s.Faults {
			c := s
			c.Faults = append(append([]world.Fault{}, s.Faults[:i]...), s.Faults[i+1:]...)
			if fails(c) {
				s, again = c, true
				break
			}
		}
	}
	for i := range s.Faults {
		for _, f := range []world.Fault{without(s.Faults[i], true), without(s.Faults[i], false)} {
			c := s
			c.Faults = append([]world.Fault{}, s.Faults...)
			c.Faults[i] = f
			if f != s.Faults[i] && fails(c) {
				s = c
			}
		}
	}
	return s
}

// without makes a fault short, or lets it wait for nothing but its moment.
func without(f world.Fault, short bool) world.Fault {
	if short && f.For > 0 {
		f.For /= 4
	} else if f.On != world.NoMoment {
		f.At = 0
	}
	return f
}

// report tells the shortest story of a violation.
func report(s world.Setting, o world.Outcome) {
	fmt.Printf("seed %d violates %s: %s\nThe fewest faults that do so (all of them: go run ./test/sim -seed %d -trace):\n",
		s.Seed, o.Violation, o.What, s.Seed)
	s = shrink(s, o.Violation)
	fmt.Println(s)
	world.Run(s, func(line string) { fmt.Println(line) })
}
