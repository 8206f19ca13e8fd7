// Package finding is what a doctor has to say: what was found, how bad it is, why
// that matters, and the command that mends it. Both CLIs' doctors speak in it.
//
// It draws and counts findings, and makes none: what to look at and how to judge
// it is each doctor's own.
package finding
