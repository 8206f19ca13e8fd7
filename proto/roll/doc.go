// Package roll owns the roll call: the Roll that the controller writes, the
// rolls that agents hold, the statements of witnesses, and how they merge.
// PROTOCOL.md §3 holds the argument.
//
// It is pure. It refuses to make evidence out of anything that is not: a
// statement counts only in epochs that are active in the witness's own Roll,
// and a roll's age always runs from when the question was sent.
package roll
