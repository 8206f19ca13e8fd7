package client

import (
	"net/http"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func TestCordoned(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		want, fail bool
	}{
		{name: "cordoned", body: `{"kind":"Node","metadata":{"name":"n1"},"spec":{"unschedulable":true,"podCIDR":"x"}}`, want: true},
		{name: "not", body: `{"kind":"Node","metadata":{"name":"n1"},"spec":{}}`},
		{name: "another node", body: `{"kind":"Node","metadata":{"name":"n2"},"spec":{"unschedulable":true}}`, fail: true},
		{name: "something else", body: `{"kind":"NodeList"}`, fail: true},
		{name: "cut off", body: `{"kind":"Node","metadata":{"name":"n1"`, fail: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, calls := serve(t, 200, nil, tt.body)
			got, err := c.Cordoned(t.Context(), "n1")
			if got != tt.want || (err != nil) != tt.fail {
				t.Errorf("%t, %v", got, err)
			}
			if all := calls(); len(all) != 1 || all[0].URI != "/api/v1/nodes/n1" || all[0].Method != http.MethodGet {
				t.Errorf("calls %+v", all)
			}
		})
	}
	c, _ := serve(t, 403, nil, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`)
	if _, err := c.Cordoned(t.Context(), "n1"); !apierrors.IsForbidden(err) {
		t.Errorf("forbidden: %v", err)
	}
	if _, err := c.Cordoned(t.Context(), ""); err == nil {
		t.Error("a node without a name was read")
	}
}
