package tenant_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"usersync/internal/tenant"
)

func TestThePageOfSettingsTellsTheLimitsThatHold(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	limits := tenant.Limits{}.OrDefault()
	for name, n := range map[string]int{
		"webhookEndpoints": limits.WebhookEndpoints, "connections": limits.Connections, "imports": limits.Imports,
		"unfinishedDeliveries": limits.UnfinishedDeliveries,
	} {
		_, row, found := strings.Cut(strings.ReplaceAll(string(page), ",000", "000"), "| `limits."+name+"` |")
		row, _, _ = strings.Cut(row, "\n")
		if !found || !strings.HasSuffix(row, "| "+strconv.Itoa(n)+" |") {
			t.Errorf("docs/configuration.md says of %s:%s, want %d", name, row, n)
		}
	}
}
