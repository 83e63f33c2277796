package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"usersync/internal/store"
	"usersync/internal/store/storetest"
)

// SQLite reads a name as an address, in which these characters mean something else.
func TestADirectoryMayHaveAnyName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a#b", "a?b", "a%41b", "ä b&c=d"} {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		storetest.Open(t, store.Options{Dir: dir, Seal: storetest.Keys(t)})
		if info, err := os.Stat(filepath.Join(dir, "usersync.db")); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}
