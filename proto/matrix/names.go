package matrix

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Compare orders names as people do: node-2 before node-10.
func Compare(a, b string) int {
	stemA, numberA := split(a)
	stemB, numberB := split(b)
	if stemA == stemB && numberA >= 0 && numberB >= 0 {
		return cmp.Or(cmp.Compare(numberA, numberB), strings.Compare(a, b))
	}
	return strings.Compare(a, b)
}

// split returns a name without the number at its end, and the number, or -1.
func split(name string) (stem string, number int) {
	stem = strings.TrimRight(name, "0123456789")
	n, err := strconv.Atoi(name[len(stem):])
	if err != nil {
		return name, -1
	}
	return stem, n
}

// maxNames is how many names Names writes out.
const maxNames = 6

// Names writes a list of names for people: sorted, runs of at least three as
// r1–r3, and no more than six of them.
func Names(names []string) string {
	sorted := slices.Clone(names)
	slices.SortFunc(sorted, Compare)
	sorted = slices.Compact(sorted)
	var parts []string
	written := 0
	for i := 0; i < len(sorted); {
		n := run(sorted[i:])
		if n < 3 {
			n = 1
		}
		if len(parts) == maxNames {
			break
		}
		part := sorted[i]
		if n > 1 {
			part += "–" + sorted[i+n-1]
		}
		parts = append(parts, part)
		written += n
		i += n
	}
	if left := len(sorted) - written; left > 0 {
		parts = append(parts, fmt.Sprintf("%d more", left))
	}
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	last := len(parts) - 1
	return strings.Join(parts[:last], ", ") + " and " + parts[last]
}

// run returns how many of the names from the first on count up by one.
func run(names []string) int {
	stem, first := split(names[0])
	width := len(names[0]) - len(stem)
	n := 1
	for ; first >= 0 && n < len(names) && names[n] == fmt.Sprintf("%s%0*d", stem, width, first+n); n++ {
	}
	return n
}
