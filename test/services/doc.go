// Package services starts programs for tests, benchmarks and fault injection, and
// can kill, pause and start them again: any program as a Process, and private
// PostgreSQL and Redis servers.
//
// Every server listens on 127.0.0.1 only, on a port of its own, keeps its files
// in a directory of its own and ends with the process that started it. The
// package ends no process that it did not start. It needs a Unix; the command
// in the folder run wraps another command with the servers it needs.
//
// All children are started from one goroutine that never ends (see
// StartProcess); a test that counts goroutines ignores it.
package services
