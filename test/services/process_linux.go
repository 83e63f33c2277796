package services

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
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

// tick is the unit of the times in /proc/PID/stat: USER_HZ, which is 100 on
// every Linux that Go runs on.
const tick = 10 * time.Millisecond

// parseStat reads one /proc/PID/stat line, see proc_pid_stat(5): the number, the
// name in brackets, which may hold anything, then state (field 3), parent (4) …
// times of the processors (14 to 17) … start time (22).
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
	p := proc{pid: pid, ppid: ppid, state: fields[0][0], started: fields[19]}
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return proc{}, false
		}
		p.cpu += time.Duration(ticks) * tick
	}
	return p, true
}

// UsageOf returns what a process, which need not be a child of this one, and all
// it started have used up to now. It is an error when it does not run here.
func UsageOf(pid int) (Usage, error) {
	all, err := processes()
	if err != nil {
		return Usage{}, err
	}
	root := slices.IndexFunc(all, func(p proc) bool { return p.pid == pid })
	if root < 0 {
		return Usage{}, fmt.Errorf("process %d does not run here", pid)
	}
	var u Usage
	var shared int64
	for _, p := range append(descendants(all, pid), all[root]) {
		u.CPU += p.cpu
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
		if err != nil {
			continue // it has just ended
		}
		sizes := ParseSizes(string(text))
		u.RSS += sizes["RssAnon"]
		shared = max(shared, sizes["RssFile"]+sizes["RssShmem"])
		if p.pid == pid {
			u.Peak = sizes["VmHWM"]
		}
	}
	u.RSS += shared
	return u, nil
}
