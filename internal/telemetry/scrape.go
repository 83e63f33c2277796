package telemetry

import (
	"context"
	"sync"
	"time"
)

// scrapeEvery is the least time between two readings. The database and the queue are
// not asked more often, however many scrapers there are.
const scrapeEvery = 5 * time.Second

// scrapeTimeout bounds one reading. It is well below the usual 10 s of scrapers.
const scrapeTimeout = 2 * time.Second

// hook is one function that was given to OnScrape.
type hook struct {
	name string
	read func(context.Context) error

	mu   sync.Mutex
	done time.Time
}

// OnScrape registers read, which is called before a scrape to set gauges of m. It is
// called at most once every 5 s and has 2 s. Scrapes in between show the last values.
// It must set every label value each time, zeroes too. A failure is counted in
// usersync_scrape_failures_total under name.
func (m *Metrics) OnScrape(name string, read func(context.Context) error) {
	m.failures.WithLabelValues(name).Add(0) // the counter exists before the first failure
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hooks = append(m.hooks, &hook{name: name, read: read})
}

func (m *Metrics) refresh() {
	m.mu.Lock()
	hooks := m.hooks
	m.mu.Unlock()
	for _, h := range hooks {
		if err := h.refresh(); err != nil {
			m.failures.WithLabelValues(h.name).Inc()
		}
	}
}

// refresh reads anew when the last reading is old enough. Scrapes that come during a
// reading wait for it. The reading does not use the context of the scrape, because
// other scrapes use the result even if this scraper hangs up.
func (h *hook) refresh() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.done.IsZero() && time.Since(h.done) < scrapeEvery {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	defer func() { h.done = time.Now() }()
	return h.read(ctx)
}
