// Command mutants checks the simulator: it breaks the product's pure code in
// many small ways, one at a time, and runs test/sim until a promise is broken. A
// mutant that lives shows a weakness of the simulator.
//
// The breaks are edits of the source (mutant.go), laid over the real files by
// go build -overlay: nothing in the cores knows of them. An edit whose old text
// is not found exactly once fails, with its name.
//
// Not in the table is what is not to be seen from outside. Where two rules guard
// one thing, either may go: a look for life beside a complete wait, the check of
// the content before a promise is adopted beside A1, the acknowledgement of a
// victim that latches as it reads. ρ is a thousandth of a wait,
// less than one hop of any message here. What goes wrong only when witnesses
// change on both sides of a partition is too rare for chance; test/model and
// proto/roll try all of it.
package main
