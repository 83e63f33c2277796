package connectortest

import (
	"flag"
	"os"
	"strconv"
	"testing"
)

// atOnce is how many cases of one connector run at once. They wait for limits, pauses and
// answers, and compute little.
const atOnce = 8

// Main runs the tests of a connector. It is called by the TestMain of the connector's
// directory:
//
//	func TestMain(m *testing.M) { connectortest.Main(m) }
func Main(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(atOnce)); err != nil {
		panic(err) // the flag is always there in a test
	}
	os.Exit(m.Run())
}
