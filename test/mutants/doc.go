// Command mutants checks the simulator: it breaks the product's pure code in
// many small ways, one at a time, and runs test/sim until a promise is broken. A
// mutant that lives shows a weakness of the simulator.
//
// The breaks are edits of the source (mutant.go), laid over the real files by
// go build -overlay: nothing in the cores knows of them. An edit whose old text
// is not found exactly once fails, with its name.
package main
