package telemetry_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"usersync/internal/telemetry"
)

// scrape returns what GET /metrics answers.
func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("status %d: %s", answer.Code, answer.Body)
	}
	return answer.Body.String()
}

func wantSamples(t *testing.T, page string, samples ...string) {
	t.Helper()
	for _, sample := range samples {
		if !strings.Contains(page, "\n"+sample+"\n") {
			t.Errorf("%s is missing", sample)
		}
	}
	if t.Failed() {
		t.Log(page)
	}
}

func TestMetricsPageShowsWhatWasObserved(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	m.SetVersion("v1.2.3")
	m.ObserveHTTP("native", "/v1/requests/:id", http.MethodGet, 200, 20*time.Millisecond)
	m.ObserveHTTP("native", "/v1/user-sync", http.MethodPost, 429, time.Millisecond)
	m.ObserveTask("run", "done", 2*time.Second)
	m.ObserveDelivery("delivered", 10*time.Millisecond)
	m.ObserveCall("mailchimp", "ok", 20*time.Millisecond)
	m.ObserveCall("mailchimp", "open", 0)
	m.ClaimsLost.Inc()
	m.IntakeBatch.Observe(3)
	m.IntakeWaiting.Set(7)
	m.CallsWaiting.Set(8)
	m.RunBatch.Observe(500)
	m.QueueDepth.WithLabelValues("run", "pending").Set(4)
	m.OutboxDepth.WithLabelValues("unsent").Set(5)
	m.OldestUnsent.Set(1.5)
	m.OldestUnfinished.Set(2.5)
	page := scrape(t, m)
	wantSamples(t, page,
		`usersync_http_requests_total{dialect="native",method="GET",route="/v1/requests/:id",status="2xx"} 1`,
		`usersync_http_request_duration_seconds_bucket{dialect="native",method="GET",route="/v1/requests/:id",status="2xx",le="0.015"} 0`,
		`usersync_http_request_duration_seconds_bucket{dialect="native",method="GET",route="/v1/requests/:id",status="2xx",le="0.025"} 1`,
		`usersync_rate_limited_total 1`,
		`usersync_tasks_total{kind="run",outcome="done"} 1`,
		`usersync_task_duration_seconds_sum{kind="run",outcome="done"} 2`,
		`usersync_deliveries_total{outcome="delivered"} 1`,
		`usersync_delivery_duration_seconds_count{outcome="delivered"} 1`,
		`usersync_platform_calls_total{outcome="ok",platform="mailchimp"} 1`,
		`usersync_platform_calls_total{outcome="open",platform="mailchimp"} 1`,
		`usersync_platform_call_duration_seconds_count{platform="mailchimp"} 1`,
		`usersync_claims_lost_total 1`,
		`usersync_intake_batch_size_bucket{le="5"} 1`,
		`usersync_intake_waiting 7`,
		`usersync_calls_waiting 8`,
		`usersync_run_batch_size_bucket{le="500"} 1`,
		`usersync_queue_depth{queue="run",state="pending"} 4`,
		`usersync_outbox_depth{state="unsent"} 5`,
		`usersync_oldest_unsent_age_seconds 1.5`,
		`usersync_oldest_unfinished_age_seconds 2.5`)
	for _, name := range []string{"\ngo_goroutines ", "\nprocess_start_time_seconds ", `usersync_build_info{goversion="go`, `,version="v1.2.3"} 1`} {
		if !strings.Contains(page, name) {
			t.Errorf("%q is missing", name)
		}
	}
}

func TestLabelsDoNotGrowWithWhatCallersSend(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	m.ObserveHTTP("", "", "BREW", 404, 0)
	m.ObserveHTTP("", "", "PROPFIND", 404, 0)
	wantSamples(t, scrape(t, m), `usersync_http_requests_total{dialect="none",method="other",route="none",status="4xx"} 2`)
}

func TestMetricsOfTwoProcessesInOneStandApart(t *testing.T) {
	t.Parallel()
	first, second := telemetry.NewMetrics(), telemetry.NewMetrics()
	first.ClaimsLost.Inc()
	wantSamples(t, scrape(t, first), `usersync_claims_lost_total 1`)
	wantSamples(t, scrape(t, second), `usersync_claims_lost_total 0`)
}

func TestScrapingReadsAtMostOnceInFiveSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := telemetry.NewMetrics()
		reads := 0
		m.OnScrape("depth", func(context.Context) error {
			reads++
			m.OutboxDepth.WithLabelValues("unsent").Set(float64(reads))
			return nil
		})
		for range 3 {
			wantSamples(t, scrape(t, m), `usersync_outbox_depth{state="unsent"} 1`)
		}
		time.Sleep(5*time.Second - time.Nanosecond)
		wantSamples(t, scrape(t, m), `usersync_outbox_depth{state="unsent"} 1`)
		time.Sleep(time.Nanosecond)
		wantSamples(t, scrape(t, m), `usersync_outbox_depth{state="unsent"} 2`)
	})
}

func TestScrapesAtOnceShareOneReading(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	var reads atomic.Int32
	m.OnScrape("depth", func(context.Context) error {
		reads.Add(1)
		return nil
	})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() { scrape(t, m) })
	}
	group.Wait()
	if got := reads.Load(); got != 1 {
		t.Errorf("read %d times", got)
	}
}

func TestFailedReadingIsCountedAndKeepsTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := telemetry.NewMetrics()
		m.OnScrape("broken", func(context.Context) error { return errors.New("no database") })
		m.OnScrape("hanging", func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		m.OnScrape("fine", func(context.Context) error {
			m.OldestUnsent.Set(3)
			return nil
		})
		before := time.Now()
		wantSamples(t, scrape(t, m),
			`usersync_scrape_failures_total{reading="broken"} 1`,
			`usersync_scrape_failures_total{reading="hanging"} 1`,
			`usersync_scrape_failures_total{reading="fine"} 0`,
			`usersync_oldest_unsent_age_seconds 3`)
		if took := time.Since(before); took != 2*time.Second {
			t.Errorf("a hanging reading held the scrape for %v, want 2s", took)
		}
	})
}
