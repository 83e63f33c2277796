// Package telemetry is how the service tells what it does: log lines, trace
// context and metrics. It is the only importer of the Prometheus client.
package telemetry
