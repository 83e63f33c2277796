//go:build unix

package e2e

import (
	"flag"
	"os"
	"testing"

	"usersync/test/system"
)

var (
	long     = flag.Bool("long", false, "every fault and the large sizes")
	requests = flag.Int("requests", 0, "requests that the embedded test sends; 0: 1000, with -long 5000")
	kills    = flag.Int("kills", 0, "how often the embedded test kills the process under load; 0: 2, with -long 5")
	faulty   = flag.String("faults", "", "only the faults of the deployed test whose names match this pattern")
	rate     = flag.Int("rate", 20, "calls a second that the deployed test sends, for 3 users each on average")
)

// sized returns the value of a size that is not set.
func sized(set, short, full int) int {
	switch {
	case set > 0:
		return set
	case *long:
		return full
	}
	return short
}

func TestMain(m *testing.M) {
	flag.StringVar(&system.Logs, "logs", "", "keep the logs of the programs, in full, in this directory")
	flag.Parse()
	os.Exit(system.Main(m, "usersync", "api", "worker"))
}
