// Package metrics serves what monitoring asks of an agent: metrics for
// Prometheus, and whether the agent serves and is ready. All of it is made of
// the agent's one status message, when somebody asks.
//
// It refuses to count anything itself, to work between two questions, and to
// keep a series for anybody but neighbours: how many nodes a cluster has must
// not decide what the monitoring of one costs. It answers a bounded number of
// questions, since the agent goes before everything else on its host.
package metrics
