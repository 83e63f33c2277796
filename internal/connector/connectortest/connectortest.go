// Package connectortest is the conformance suite of connectors: what every one
// of them must do, tried against its fake.
package connectortest

import (
	"testing"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
)

// Run tries a connector against its fake; newFake makes one for each case.
func Run(t *testing.T, kind connector.Kind, newFake func() fakeplatform.Platform) {
	t.Helper()
	_, _ = kind, newFake
	t.Fatal("not written yet")
}
