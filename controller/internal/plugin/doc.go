// Package plugin is the commands of kubectl-picket: it reads the API with a
// person's credentials, has package view make an answer of it, and writes what
// the person decides: a NodeFence, a proof, a pause.
//
// It decides nothing for them: every write that can hurt asks first and says what
// it asserts. It never writes the Roll, a NodeGuard or a Node.
package plugin
