// Package kubelet is an honest stub of a kubelet: a real client of a real API
// server that behaves as a kubelet does wherever failover can see it.
//
// It registers its Node and CSINode, renews its Lease, posts its status,
// rejects pods that do not tolerate a NoExecute taint of its Node, reports a
// volume in use before it waits for the volume to be attached, mounts only
// then, and deletes a pod only after it was stopped and unmounted. A pod
// "runs" by writing to its volumes all the time, as long as the machine has
// power: also when its kubelet is paused or cannot reach the API.
//
// It refuses to know that it is in a test: it talks to the API with a node's
// own credentials through its node's own proxy, so the node authorizer, the
// NodeRestriction admission plugin and every network fault apply to it. It
// runs no containers and keeps nothing across a reboot.
package kubelet
