//go:build unix && !linux

package services

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// dieWithParent does nothing: only Linux ties a child's life to its parent's.
// Stop is the way to end a server here.
func dieWithParent(*syscall.SysProcAttr) {}

// processes asks ps for the process table.
func processes() ([]proc, error) {
	out, err := exec.Command("ps", "-axo", "pid=,ppid=,state=,lstart=").Output()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var all []proc
	for line := range strings.Lines(string(out)) {
		if p, ok := parsePS(line); ok {
			all = append(all, p)
		}
	}
	return all, nil
}

func parsePS(line string) (proc, bool) {
	fields := strings.Fields(line)
	if len(fields) < 4 {
		return proc{}, false
	}
	pid, err := strconv.Atoi(fields[0])
	if err != nil {
		return proc{}, false
	}
	ppid, err := strconv.Atoi(fields[1])
	if err != nil {
		return proc{}, false
	}
	return proc{pid: pid, ppid: ppid, state: fields[2][0], started: strings.Join(fields[3:], " ")}, true
}

// UsageOf cannot tell here: the figures come from Linux's /proc.
func UsageOf(int) (Usage, error) {
	return Usage{}, errors.New("what a process uses is known on Linux only")
}
