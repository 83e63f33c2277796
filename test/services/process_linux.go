package services

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// dieWithParent has the kernel kill the child when the thread that forks it
// ends.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// processes reads the process table from /proc, because a slim image has no ps.
func processes() ([]proc, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, fmt.Errorf("list /proc: %w", err)
	}
	all := make([]proc, 0, len(files))
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil {
			continue // it ended since the listing
		}
		if p, ok := parseStat(line); ok {
			all = append(all, p)
		}
	}
	return all, nil
}

// parseStat reads one /proc/PID/stat line, see proc_pid_stat(5): the number, the
// name in brackets, then state (field 3), parent (4) … start time (22).
func parseStat(line []byte) (proc, bool) {
	open, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return proc{}, false
	}
	fields := strings.Fields(string(line[end+1:]))
	if len(fields) < 20 {
		return proc{}, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(line[:open])))
	if err != nil {
		return proc{}, false
	}
	ppid, err := strconv.Atoi(fields[1])
	if err != nil {
		return proc{}, false
	}
	return proc{pid: pid, ppid: ppid, state: fields[0][0], started: fields[19]}, true
}
