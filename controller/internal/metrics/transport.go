package metrics

import (
	"net/http"
	"strconv"
)

// Transport returns a transport that counts the requests that go through next.
func (m *Metrics) Transport(next http.RoundTripper) http.RoundTripper { return transport{next, m} }

type transport struct {
	next http.RoundTripper
	m    *Metrics
}

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	code := "error"
	if err == nil {
		code = strconv.Itoa(resp.StatusCode)
	}
	t.m.requests.WithLabelValues(r.Method, code).Inc()
	return resp, err
}

// WrappedRoundTripper lets client-go find what is below.
func (t transport) WrappedRoundTripper() http.RoundTripper { return t.next }
