//go:build unix

package services

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process and all it started have used.
type Usage struct {
	// CPU is counted since the start, with that of ended children.
	CPU time.Duration
	// RSS is the resident memory in bytes. What the processes share
	// (PostgreSQL's buffers) counts once.
	RSS int64
	// Peak is the most that the process itself ever held, in bytes.
	Peak int64
}

// ParentOf returns the id of the process that started another. It is an error
// when that one does not run here.
func ParentOf(pid int) (int, error) {
	all, err := processes()
	if err != nil {
		return 0, err
	}
	for _, p := range all {
		if p.pid == pid {
			return p.ppid, nil
		}
	}
	return 0, fmt.Errorf("process %d does not run here", pid)
}

// ParseSizes reads the lines of /proc/PID/status (proc_pid_status(5)) or
// /proc/meminfo that end in kB, in bytes.
func ParseSizes(text string) map[string]int64 {
	sizes := map[string]int64{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[2] != "kB" {
			continue
		}
		if n, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
			sizes[strings.TrimSuffix(fields[0], ":")] = n << 10
		}
	}
	return sizes
}
