//go:build unix

package main

import (
	"fmt"
	"strconv"
	"strings"
)

// processors is the time of all processors together since the machine started,
// in ticks.
type processors struct {
	// total is all time, idle included; taken what other machines on the same
	// hardware had while this one wanted to run.
	total, taken int64
}

// parseProcessors reads the first line of /proc/stat (proc_stat(5)): user, nice,
// system, idle, iowait, irq, softirq, steal. What is not there is 0.
func parseProcessors(text string) (p processors) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return p
	}
	for i, field := range fields[1:9] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return processors{}
		}
		p.total += n
		if i == 7 {
			p.taken = n
		}
	}
	return p
}

// since returns the share of the time since an earlier reading that was taken.
func (p processors) since(before processors) float64 {
	if p.total <= before.total {
		return 0
	}
	return float64(p.taken-before.taken) / float64(p.total-before.total)
}

// muchTaken is the share from which a measurement says so: its figures are less
// than this machine can do.
const muchTaken = 0.05

// takenNote says, of a measurement, how much was taken; "" where it was little.
func takenNote(share float64) string {
	if share < muchTaken {
		return ""
	}
	return fmt.Sprintf("%.0f %% of the processors taken by other machines", share*100)
}
