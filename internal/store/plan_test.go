package store_test

import (
	"testing"

	"usersync/internal/roomtest"
)

// A second index that begins with the organization and has no condition may be
// planned for a look-up by address while the table is empty, and then every
// look-up reads all people of the organization.
func TestOneIndexServesALookUpByAddress(t *testing.T) {
	t.Parallel()
	_, db := roomtest.OpenWithSQL(t, "postgres")
	for _, table := range []string{"users", "people", "colleagues"} {
		n := roomtest.Count(t, db, `
SELECT count(*) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = '`+table+`'::regclass AND i.indpred IS NULL AND a.attname = 'organization_id'`)
		if n != 1 {
			t.Errorf("%s has %d indexes by organization without a condition, want that by address alone", table, n)
		}
	}
}
