//go:build unix

// Package e2e tests the service from outside: it builds the programs, runs
// them as processes, sends requests and receives webhooks as a caller does,
// and ends parts of it the hard way while work is under way. Afterwards every
// accepted request must have ended, be charged at most once, and have its
// webhook delivered.
//
//	make e2e                                          the long form
//	make e2e E2E_ARGS='-long -requests 50000'         with more requests
//	make e2e E2E_ARGS='-faults redis -rate 50'        some faults, more load
//	make e2e E2E_ARGS='-faults postgres -logs /tmp'   and keep the logs
//
// `make test` runs the short form.
package e2e
