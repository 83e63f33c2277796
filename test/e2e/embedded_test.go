//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/test/system"
)

// drainWithin is how long the rest of the work may take: a killed worker's
// claims hold for 30 s, a lost task is looked for after 2 min, and a delivery
// that failed twice waits 5 min.
const drainWithin = 8 * time.Minute

// embedded is the service in one process, with its demo organization.
type embedded struct {
	*system.Program
	dir  string
	base string
	env  []string
}

func newEmbedded(t *testing.T, settings ...string) *embedded {
	t.Helper()
	addr, dir := system.FreeAddr(t), t.TempDir()
	env := append([]string{"DATA_DIR=" + dir, "ADDR=" + addr}, settings...)
	return &embedded{Program: system.NewProgram(t, "usersync serve", addr, env, "usersync", "serve"), dir: dir, env: env, base: "http://" + addr}
}

// tenant returns the demo organization with plenty of credits and an endpoint
// of the test's own.
func (e *embedded) tenant(t *testing.T) *customer {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(e.dir, "demo-key"))
	system.Must(t, err)
	var organizations []tenant.Organization
	system.Command(t, e.env, &organizations, "organizations", "list")
	if len(organizations) != 1 {
		t.Fatalf("%d organizations after the first start, want the demo's alone", len(organizations))
	}
	n := newTenant(system.NewTenant(t, system.Account{Organization: organizations[0].ID, Key: strings.TrimSpace(string(key))}, e.env, e.base))
	n.TopUp(t, 10_000_000)
	n.Subscribe(t)
	return n
}

func TestEmbeddedKilledWithRequestsInFlight(t *testing.T) {
	t.Parallel()
	target, rounds := sized(*requests, 1000, 5000), sized(*kills, 2, 5)
	e := newEmbedded(t)
	e.Start(t)
	n := e.tenant(t)

	inFlight := 0
	for round := 1; round <= rounds; round++ {
		inFlight += killUnderLoad(t, e, n, (target+rounds-1)/rounds, round)
		e.Start(t)
	}
	if inFlight == 0 {
		t.Error("every request was done before its kill: the test proved nothing")
	}
	// Once more, while it takes up what the last life left behind.
	e.Kill()
	e.Start(t)

	n.open(t, store.Options{Dir: e.dir})
	began := time.Now()
	n.ended(t, drainWithin)
	n.drained(t, drainWithin)
	t.Logf("all done %s after the last start", time.Since(began).Round(time.Millisecond))
	n.audit(t)
	e.Stop(t)
}

// killUnderLoad sends until so many more requests are accepted, and kills the
// process while the clients still send and webhooks come in. It returns how
// many requests were accepted and not done.
func killUnderLoad(t *testing.T, e *embedded, n *customer, more, round int) (inFlight int) {
	t.Helper()
	began, doneBefore, before := time.Now(), n.Done(), n.count()
	stop := n.run(16)
	system.Await(t, 2*time.Minute, "enough requests are accepted and the first webhooks came",
		func() bool { return n.count()-before >= more && n.Done() > doneBefore }, func() string { return n.describe(t) })
	e.Kill()
	killed := time.Now()
	stop()
	accepted, endings := n.all(), n.Endings()
	for id := range accepted {
		if _, done := endings[id]; !done {
			inFlight++
		}
	}
	t.Logf("kill %d: %d accepted in %s, %d ends received, %d in flight", round, n.count()-before,
		killed.Sub(began).Round(time.Millisecond), n.Done()-doneBefore, inFlight)
	return inFlight
}
