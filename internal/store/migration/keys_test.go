package migration_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"usersync/internal/store/migration"
)

// few are the tables that hold few rows, whose ids are unique in the whole database. A
// database that is spread over machines keeps a copy of each on every one of them.
var few = []string{
	"api_keys", "audit", "bulks", "connections", "erasures", "follow_ups", "follow_up_versions", "import_chunks",
	"import_errors", "imports", "inbounds", "webhook_endpoints",
}

var (
	table  = regexp.MustCompile(`(?s)CREATE TABLE (\w+) \((.*?)\n\);`)
	unique = regexp.MustCompile(`CREATE UNIQUE INDEX \w+ ON (\w+) (.*);`)
	// primary is a key of its own line, or one that is said of a column.
	primary = regexp.MustCompile(`(?m)^.*PRIMARY KEY.*$`)
)

// PostgreSQL can spread a table over machines, or cut it into partitions, only by columns that
// are in all of its unique keys.
func TestEveryUniqueKeyOfManyRowsHoldsTheOrganization(t *testing.T) {
	t.Parallel()
	all, err := migration.List(migration.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string][]string{}
	for _, one := range all {
		for _, m := range table.FindAllStringSubmatch(one.Text, -1) {
			if strings.Contains(m[2], "\n    organization_id ") {
				keys[m[1]] = primary.FindAllString(m[2], -1)
			}
		}
		for _, m := range unique.FindAllStringSubmatch(one.Text, -1) {
			if _, of := keys[m[1]]; of {
				keys[m[1]] = append(keys[m[1]], m[2])
			}
		}
	}
	if len(keys) < 20 {
		t.Fatalf("only %d tables are found", len(keys))
	}
	for name, of := range keys {
		if slices.Contains(few, name) {
			continue
		}
		for _, key := range of {
			if !strings.Contains(key, "organization_id") {
				t.Errorf("%s: %s", name, strings.TrimSpace(key))
			}
		}
	}
}
