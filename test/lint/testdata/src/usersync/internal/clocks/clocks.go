// Package clocks decides about no work.
package clocks

import "time"

func now() time.Time { return time.Now() }
