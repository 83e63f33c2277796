//go:build unix

package main

import (
	"fmt"

	"usersync/test/services"
)

// part is one part of the system under test: a process and all it started.
type part struct {
	name string
	root int // process id
	// operations is where a process of ours serves its metrics.
	operations string
	// older says that it ran before this installation, and for others.
	older bool
}

// peakOf is the text of the part's peak; that of an older one is not ours.
func (p part) peakOf(u services.Usage) string {
	if p.older {
		return ""
	}
	return mebi(u.Peak)
}

// useOf returns what each part has used up to now.
func useOf(parts []part) ([]services.Usage, error) {
	all := make([]services.Usage, len(parts))
	for i, p := range parts {
		u, err := services.UsageOf(p.root)
		if err != nil {
			return nil, fmt.Errorf("read what %s has used: %w", p.name, err)
		}
		all[i] = u
	}
	return all, nil
}
