// Package metrics counts what the controller does and what its plans see, and
// serves the counts and its health over HTTP.
//
// It refuses to keep a series per node or per fence: how many nodes a cluster
// has must not decide what its monitoring costs.
package metrics
