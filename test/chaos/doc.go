//go:build unix

// Package chaos runs the deployed system under load while its parts are killed,
// stopped, paused, emptied, cut off and slowed, and then checks from outside,
// and in the database, that nothing was lost, charged twice or left behind.
//
//	make chaos                                        every fault once
//	make chaos CHAOS_ARGS='-minutes 30 -seed 7'       again and again, longer ones, for 30 minutes
//	make chaos CHAOS_ARGS='-faults redis -logs /tmp'  some of the faults, and keep the logs
//
// The seed decides the faults, their order, victims and lengths, and what each
// client sends; the same seed makes the same plan. It is printed.
// Beside it, one tenant harms the others all the time as far as it is let.
// `make test` runs the short form. docs/chaos.md has the table of a run.
package chaos
