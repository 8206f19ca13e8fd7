package client

import (
	"context"
	"fmt"
	"strings"
)

// Get reads an object or a list that is not of the group, as JSON. The path
// begins with /api or /apis; query holds the parameters, such as fieldSelector.
// Without resourceVersion in it, the read is consistent.
func (c *Client) Get(ctx context.Context, path string, query map[string]string) ([]byte, error) {
	if !strings.HasPrefix(path, "/api") {
		return nil, fmt.Errorf("get %q: no path of the API", path)
	}
	r := c.api.Get().AbsPath(path)
	for name, value := range query {
		r = r.Param(name, value)
	}
	return r.Do(ctx).Raw()
}
