// Package iscsi is the storage of the lab: a real tgtd with one LUN per volume
// on a plain file, and a proxy in front of it that writes down who wrote what,
// in the order in which it arrived. What the proxy wrote down is the evidence
// by which the lab judges "never two writers".
//
// It owns the record: a write is in the log, with its time, before the first
// of its bytes goes on to the target. It refuses to let pass what it does not
// understand: such a connection is closed, and the refusal is kept, because a
// write that was not seen would acquit the guilty. It neither fences nor
// delays anybody, and changes no byte: what keeps two writers apart is what
// the lab tests.
package iscsi
