package proxy

import (
	"maps"
	"net/http"
	"strings"
	"sync"
)

// Request is a kind of API request.
type Request struct {
	Verb     string // get, list, watch, create, update, patch, delete, deletecollection
	Resource string // rolls, nodes, pods/status …; empty for other paths
}

// counter counts requests by kind.
type counter struct {
	mu sync.Mutex
	n  map[Request]int64
}

func (c *counter) add(r *http.Request) {
	kind := Classify(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[Request]int64)
	}
	c.n[kind]++
}

func (c *counter) count(verb, resource string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[Request{verb, resource}]
}

func (c *counter) all() map[Request]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.n)
}

// Classify names a request as RBAC does. Hooks use it to find theirs.
func Classify(r *http.Request) Request {
	resource, name := resourceOf(r.URL.Path)
	if resource == "" {
		return Request{Verb: strings.ToLower(r.Method)}
	}
	verb := ""
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		verb = "get"
		if name == "" {
			verb = "list"
		}
		if watch := r.URL.Query().Get("watch"); watch == "true" || watch == "1" {
			verb = "watch"
		}
	case http.MethodPost:
		verb = "create"
	case http.MethodPut:
		verb = "update"
	case http.MethodPatch:
		verb = "patch"
	case http.MethodDelete:
		verb = "delete"
		if name == "" {
			verb = "deletecollection"
		}
	}
	return Request{verb, resource}
}

// resourceOf finds resource (with subresource) and name in the path of a
// request: /api/v1/nodes/n1/status, /apis/picket.dev/v1alpha1/rolls/cluster.
func resourceOf(path string) (resource, name string) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(parts) >= 3 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) >= 4 && parts[0] == "apis":
		parts = parts[3:]
	default:
		return "", ""
	}
	if len(parts) >= 3 && parts[0] == "namespaces" && parts[2] != "status" && parts[2] != "finalize" {
		parts = parts[2:]
	}
	resource = parts[0]
	if len(parts) > 1 {
		name = parts[1]
	}
	if len(parts) > 2 {
		resource += "/" + parts[2]
	}
	return resource, name
}
