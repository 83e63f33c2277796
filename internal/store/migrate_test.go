package store_test

import (
	"context"
	"sync"
	"testing"

	"usersync/internal/store"
	"usersync/internal/store/storetest"
)

func TestMigrateMayRunAtOnceInSeveralProcesses(t *testing.T) {
	t.Parallel()
	o := storetest.Options(t, "postgres")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := store.Open(context.Background(), o)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = s.Close() }()
			if _, err := s.Migrate(context.Background()); err != nil {
				t.Error(err)
			}
			if err := s.CheckMigrated(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
