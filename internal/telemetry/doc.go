// Package telemetry writes log lines, trace context and metrics. It is the only
// importer of the Prometheus client.
package telemetry
