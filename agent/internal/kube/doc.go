// Package kube is the agent's way to the API servers: it reads the Roll, watches
// the node's own NodeGuard and writes its status.
//
// It owns the connections to every API endpoint. It takes only a full,
// successful, linearizable answer for evidence, and stamps it with the time
// before the question was sent; it tells an API server that answers with an
// error from one that does not answer; and no call outlives its deadline,
// whatever client-go does. It refuses to retry on its own account, to answer
// from a cache, and to write over what it has not read.
package kube
