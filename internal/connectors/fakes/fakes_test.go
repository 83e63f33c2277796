package fakes_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"usersync/internal/connector"
	"usersync/internal/connectors"
	"usersync/internal/connectors/fakes"
)

// notPlatforms are the directories that hold no platform.
var notPlatforms = []string{"ability", "casetable", "connectortest", "fakeplatform", "form", "published", "webhook"}

func TestEveryPlatformIsInBothLists(t *testing.T) {
	t.Parallel()
	var kinds, served []string
	for _, k := range connectors.Platforms {
		kinds = append(kinds, k.Name)
	}
	for _, f := range fakes.New() {
		served = append(served, f.Name())
	}
	if !slices.Equal(kinds, served) {
		t.Errorf("the platforms are %v, the fakes %v", kinds, served)
	}
	entries, err := os.ReadDir("../../connector")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !slices.Contains(notPlatforms, e.Name()) && !slices.Contains(kinds, e.Name()) {
			t.Errorf("internal/connector/%s is not in connectors.Platforms", e.Name())
		}
	}
}

func TestEveryConnectorHasTheSameFiles(t *testing.T) {
	t.Parallel()
	for _, k := range connectors.Platforms {
		for _, file := range []string{"README.md", k.Name + ".go", "classify.go", "push.go", k.Name + "_test.go", "fake/fake.go"} {
			if _, err := os.Stat(filepath.Join("../../connector", k.Name, file)); err != nil {
				t.Errorf("%s has no %s: %v", k.Name, file, err)
			}
		}
	}
}

func TestEveryFakesConfigurationOpens(t *testing.T) {
	t.Parallel()
	for _, f := range fakes.New() {
		kind, ok := connectors.Find(f.Name())
		if !ok {
			t.Errorf("%s is no platform", f.Name())
			continue
		}
		if _, err := kind.Open(f.Config(), &connector.Client{}); err != nil {
			t.Errorf("%s: %v", f.Name(), err)
		}
	}
}
