package management_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"usersync/internal/management"
	"usersync/internal/roomtest"
)

// stuckWriter takes some bytes and then none until it is released.
type stuckWriter struct {
	left          int
	stuck, resume chan struct{}
	written       int
}

func (w *stuckWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 && w.stuck != nil {
		close(w.stuck)
		w.stuck = nil
		<-w.resume
	}
	w.written += len(p)
	return len(p), nil
}

// TestExportHoldsAPageWhileNobodyReads exports a user with requests of 14 MiB in all
// to somebody who stops reading: a page of them is in memory then, not all.
func TestExportHoldsAPageWhileNobodyReads(t *testing.T) {
	const requests, values, size = 70, 50, 4000
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			s, _ := roomtest.OpenWithSQL(t, engine)
			n := roomtest.New(t, s, requests)
			userID := ""
			for range requests {
				a := n.Acceptance("ann@acme.example")
				a.User.Attributes = map[string]any{}
				for i := range values {
					a.User.Attributes[fmt.Sprintf("a%d", i)] = strings.Repeat("x", size)
				}
				n.Accept(t, n.Submission(a))
				userID = a.UserID
			}
			before := heapInUse()
			w := &stuckWriter{left: 3 * values * size, stuck: make(chan struct{}), resume: make(chan struct{})}
			stuck, ended := w.stuck, make(chan error, 1)
			go func() {
				ended <- (&management.Service{Store: s}).Export(t.Context(), n.Organization, userID, w)
			}()
			<-stuck
			now := heapInUse()
			held := int64(now) - int64(before)
			close(w.resume)
			if err := <-ended; err != nil || w.written < requests*values*size {
				t.Fatalf("%d bytes, %v", w.written, err)
			}
			if most := int64(requests * values * size / 2); held > most {
				t.Errorf("%d KiB are held, of %d KiB", held>>10, w.written>>10)
			}
			t.Logf("%d KiB held of %d KiB", held>>10, w.written>>10)
		})
	}
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
