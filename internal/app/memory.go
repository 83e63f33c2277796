package app

import (
	"os"
	"runtime/debug"
)

const (
	// gcPercent starts a collection when the heap is five times as large as the live
	// data. The default is twice as large. With some 10 MiB of live data that means
	// several collections a second under load, which took a seventh of the CPU of
	// accepting.
	gcPercent = 400
	// gcEagerFrom is the memory limit in bytes. Near it the process collects more
	// often.
	gcEagerFrom = 256 << 20
)

// tuneMemory lets the process use more memory to save CPU. An explicit GOGC or
// GOMEMLIMIT wins.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(gcEagerFrom)
	}
}
