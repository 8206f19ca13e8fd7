// Package monitoring holds the alert rules and the dashboard of deploy/monitoring
// to Prometheus itself: its parser reads them, and its rule manager evaluates
// every alert on recorded series. It is a module of its own, so that the product
// does not depend on a monitoring server.
//
// It refuses to know what agents and controllers export: tests beside them write
// that down, from their registries.
package monitoring
