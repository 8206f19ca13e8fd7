// Model checks PROTOCOL.md with Spin: it runs every case of a table, each a model
// in Promela with a few switches, and compares the verdict with the one expected.
// A case either keeps all rules, and no state of it breaks the promise that it
// checks; or it breaks one rule, and Spin must find the trace that shows what the
// rule is there for.
//
// It owns the models (*.pml) and the table. It knows nothing of the product's
// code: test/sim runs that.
//
// It needs spin, gcc and libc6-dev. README.md says how to read a model, and why a
// few rules stay that no model needs.
package main
