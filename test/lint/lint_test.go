package main

import (
	"testing"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/analysistest"
)

// every is all analyzers in one, so that a case of one rule also shows that the
// others find nothing there.
var every = &analysis.Analyzer{
	Name: "every",
	Doc:  "runs all analyzers",
	Run: func(pass *analysis.Pass) (any, error) {
		for _, a := range analyzers {
			if _, err := a.Run(pass); err != nil {
				return nil, err
			}
		}
		return nil, nil
	},
}

func TestQueryloopFindsQueriesInLoops(t *testing.T) {
	t.Parallel()
	analysistest.Run(t, analysistest.TestData(), every, "usersync/internal/loops", "usersync/internal/queue", "usersync/internal/store")
}

func TestLogorreturnFindsErrorsThatAreLoggedAndReturned(t *testing.T) {
	t.Parallel()
	analysistest.Run(t, analysistest.TestData(), every, "usersync/internal/logs")
}

func TestBoolflagFindsFlagsOfExportedFunctions(t *testing.T) {
	t.Parallel()
	analysistest.Run(t, analysistest.TestData(), every, "usersync/internal/flags", "usersync/internal/flagstest")
}

func TestProcessclockFindsWhereAProcessDecidesByItsClock(t *testing.T) {
	t.Parallel()
	analysistest.Run(t, analysistest.TestData(), every, "usersync/internal/outbox", "usersync/internal/clocks")
}

func TestOnlyThePrograms(t *testing.T) {
	t.Parallel()
	for pkg, want := range map[string]bool{
		"usersync/internal/store": true, "usersync/cmd/api": true, "usersync/internal/connector/http": true,
		"usersync/internal/store/storetest": false, "usersync/internal/connector/http/fake": false, "usersync/test/load": false,
		"usersync/internal/store_test": false, "usersync/internal/store.test": false, "gorm.io/gorm": false, "usersync/examples/receiver": false,
	} {
		if got := isProduct(pkg); got != want {
			t.Errorf("%s counts as part of the programs: %v", pkg, got)
		}
	}
}
