// Command sim proves the product's cores by many deterministic schedules: each
// seed is a cluster in virtual time whose agents and controllers are the real
// agent/decide and controller/plan (package world).
//
//	go run ./test/sim -seeds 100000           run seeds 0 … 99999
//	go run ./test/sim -first 7 -seeds 1       run seed 7
//	go run ./test/sim -seed 7 -trace          tell its story
//
// A violation prints its seed, the fewest faults that still lead to it, and the
// story in words with the numbers of the rules. The last lines begin with RESULT.
// It exits with 1 after a violation, and after 1000 schedules or more in which
// some rule of PROTOCOL.md never fired.
package main
