//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the times in /proc/PID/stat: USER_HZ, which is 100 on
// every Linux that Go runs on.
const tick = 10 * time.Millisecond

// part is one part of the system under test: a process and all it started.
type part struct {
	name string
	root int // process id
	// older says that it ran before this installation, and for others.
	older bool
}

// peakOf is the text of the part's peak; that of an older one is not ours.
func (p part) peakOf(u usage) string {
	if p.older {
		return ""
	}
	return mebi(u.peak)
}

// usage is what a part used.
type usage struct {
	cpu time.Duration // since its start, of ended children too
	// rss is the resident memory in bytes; what the processes of a part share
	// (PostgreSQL's buffers) counts once.
	rss int64
	// peak is the most the root process ever held, in bytes.
	peak int64
}

// stat is what /proc/PID/stat says.
type stat struct {
	parent int
	cpu    time.Duration // with that of ended children
}

// parseStat reads /proc/PID/stat (proc_pid_stat(5)). The second field is the
// program's name in brackets and may hold anything, so counting begins behind
// its end.
func parseStat(text string) (stat, error) {
	end := strings.LastIndexByte(text, ')')
	fields := strings.Fields(text[end+1:])
	if end < 0 || len(fields) < 15 {
		return stat{}, fmt.Errorf("unreadable process state %q", text)
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return stat{}, err
	}
	s := stat{parent: parent}
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return stat{}, err
		}
		s.cpu += time.Duration(ticks) * tick
	}
	return s, nil
}

// parseSizes reads the lines of /proc/PID/status or /proc/meminfo that end in
// kB, in bytes.
func parseSizes(text string) map[string]int64 {
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

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(text))
}

func parentOf(pid int) (int, error) {
	s, err := readStat(pid)
	return s.parent, err
}

// processTable returns all processes by id.
func processTable() map[int]stat {
	table := map[int]stat{}
	dirs, _ := filepath.Glob("/proc/[0-9]*") // fails only on a wrong pattern
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil { // else it has just ended
			table[pid] = s
		}
	}
	return table
}

// family returns root and its descendants.
func family(table map[int]stat, root int) []int {
	all := []int{root}
	for i := 0; i < len(all); i++ {
		for pid, s := range table {
			if s.parent == all[i] {
				all = append(all, pid)
			}
		}
	}
	return all
}

// use returns what a part has used up to now.
func (p part) use() (usage, error) {
	table := processTable()
	if _, ok := table[p.root]; !ok {
		return usage{}, fmt.Errorf("%s: process %d does not run here", p.name, p.root)
	}
	var u usage
	var shared int64
	for _, pid := range family(table, p.root) {
		u.cpu += table[pid].cpu
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue // it has just ended
		}
		sizes := parseSizes(string(text))
		u.rss += sizes["RssAnon"]
		shared = max(shared, sizes["RssFile"]+sizes["RssShmem"])
		if pid == p.root {
			u.peak = sizes["VmHWM"]
		}
	}
	u.rss += shared
	return u, nil
}

// useOf returns what each part has used up to now.
func useOf(parts []part) ([]usage, error) {
	all := make([]usage, len(parts))
	for i, p := range parts {
		u, err := p.use()
		if err != nil {
			return nil, err
		}
		all[i] = u
	}
	return all, nil
}
