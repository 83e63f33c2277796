//go:build unix

package chaos

import (
	"flag"
	"os"
	"testing"

	"usersync/test/system"
)

var (
	seed    = flag.Uint64("seed", 1, "what the faults and the load are made from")
	minutes = flag.Float64("minutes", 0, "how long faults are inflicted; 0: each once, the short form")
	wanted  = flag.String("faults", "", "only the faults whose names match this pattern")
	harming = flag.Bool("harm", false, "one tenant harms the others all the time")
	rate    = flag.Int("rate", 12, "calls a second; each is for 1 to 5 users")
)

func TestMain(m *testing.M) {
	flag.StringVar(&system.Logs, "logs", "", "keep the logs of the programs, in full, in this directory")
	flag.Parse()
	os.Exit(system.Main(m, "usersync", "api", "worker"))
}

// long reports whether this is a run of minutes.
func long() bool { return *minutes > 0 }
