package app

import (
	"os"
	"runtime/debug"
)

const (
	// gcPercent has a process collect when its heap is five times what lives. The
	// default is twice: with some 10 MiB alive that is several times a second
	// under load, a seventh of the CPU of accepting.
	gcPercent = 400
	// gcEagerFrom is the memory in bytes above which it collects more often.
	gcEagerFrom = 256 << 20
)

// tuneMemory spends memory that is not short on CPU that is. Who sets GOGC or
// GOMEMLIMIT knows better.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(gcEagerFrom)
	}
}
