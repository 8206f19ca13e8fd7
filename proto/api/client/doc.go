// Package client reads and writes the objects of the group picket.dev over
// client-go's REST client.
//
// It owns the scheme, the paths and the preconditions. It refuses every update
// without a resourceVersion and every deletion without a UID, so that nobody
// overwrites what he has not read; it reads single objects linearizably only;
// and it never retries or slows a request: the caller owns the time.
package client
