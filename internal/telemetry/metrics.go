package telemetry

import (
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics holds every metric of the service, on a registry of its own. Label values
// come from fixed lists and route templates, never from a caller's input. So they
// cannot grow without bound and show no secrets.
type Metrics struct {
	// HTTPRequests and HTTPDuration have the labels dialect, route, method, status.
	HTTPRequests *prometheus.CounterVec
	HTTPDuration *prometheus.HistogramVec
	// RateLimited counts requests answered 429.
	RateLimited prometheus.Counter

	// IntakeBatch is how many requests one accepting commit took.
	IntakeBatch prometheus.Histogram
	// IntakeWaiting is how many requests wait for the next commit.
	IntakeWaiting prometheus.Gauge
	// CallsWaiting is how many calls wait for the end of their request.
	CallsWaiting prometheus.Gauge
	// RunBatch is how many requests one run task worked on.
	RunBatch prometheus.Histogram

	// Tasks and TaskDuration have the labels kind, outcome.
	Tasks        *prometheus.CounterVec
	TaskDuration *prometheus.HistogramVec
	// Deliveries and DeliveryDuration have the label outcome.
	Deliveries       *prometheus.CounterVec
	DeliveryDuration *prometheus.HistogramVec
	// PlatformCalls has the labels platform and outcome, PlatformDuration has the
	// label platform. The outcome is ok, the code of the error, or the reason why no
	// call was made: open for a circuit breaker, throttled for a limit.
	PlatformCalls    *prometheus.CounterVec
	PlatformDuration *prometheus.HistogramVec
	// ClaimsLost counts runs that did not hold their claim any more when they wrote
	// their outcome, which may also be a failure.
	ClaimsLost prometheus.Counter

	// QueueDepth has the labels queue and state, OutboxDepth has the label state.
	// Functions that are given to OnScrape set both, and the ages too.
	QueueDepth *prometheus.GaugeVec
	// QueueFull is 1 while Redis has reached its memory limit, else 0.
	QueueFull   prometheus.Gauge
	OutboxDepth *prometheus.GaugeVec
	// OldestUnsent and OldestUnfinished are ages in seconds. 0 means that there is
	// none.
	OldestUnsent     prometheus.Gauge
	OldestUnfinished prometheus.Gauge
	// ClockOffset is how far the clock of the process is ahead of the database's, in
	// seconds.
	ClockOffset prometheus.Gauge

	build    *prometheus.GaugeVec
	failures *prometheus.CounterVec
	registry *prometheus.Registry

	mu    sync.Mutex
	hooks []*hook
}

// namespace is the prefix of the names of all metrics.
const namespace = "usersync"

// durations are bucket borders in seconds: dense around the latency targets of
// 15, 25 and 40 ms, and up to the 30 s that a caller may wait for an answer.
var durations = []float64{.001, .0025, .005, .01, .015, .025, .04, .1, .25, .5, 1, 2.5, 5, 10, 30}

// sizes are bucket borders of batches, which hold at most 500.
var sizes = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500}

// NewMetrics returns the metrics of one process, all at zero.
func NewMetrics() *Metrics {
	m := &Metrics{
		HTTPRequests: counters("http_requests_total", "HTTP requests answered.", "dialect", "route", "method", "status"),
		HTTPDuration: durationHistograms("http_request_duration_seconds", "Time from a request to its answer.", "dialect", "route", "method", "status"),
		RateLimited:  counter("rate_limited_total", "HTTP requests answered 429."),

		IntakeBatch:   sizeHistogram("intake_batch_size", "Requests accepted by one commit."),
		IntakeWaiting: gauge("intake_waiting", "Requests waiting for the next accepting commit."),
		CallsWaiting:  gauge("calls_waiting", "Calls waiting for the end of their request."),
		RunBatch:      sizeHistogram("run_batch_size", "Requests one run task worked on."),

		Tasks:            counters("tasks_total", "Tasks worked.", "kind", "outcome"),
		TaskDuration:     durationHistograms("task_duration_seconds", "Time a task took.", "kind", "outcome"),
		Deliveries:       counters("deliveries_total", "Webhook delivery attempts.", "outcome"),
		DeliveryDuration: durationHistograms("delivery_duration_seconds", "Time a webhook delivery attempt took.", "outcome"),
		PlatformCalls:    counters("platform_calls_total", "Calls to platforms.", "platform", "outcome"),
		PlatformDuration: durationHistograms("platform_call_duration_seconds", "Time a call to a platform took.", "platform"),
		ClaimsLost:       counter("claims_lost_total", "Runs that had lost their claim when they wrote their outcome."),

		QueueDepth:       gauges("queue_depth", "Tasks in the queue.", "queue", "state"),
		QueueFull:        gauge("queue_full", "1 while Redis has reached its memory limit, else 0."),
		OutboxDepth:      gauges("outbox_depth", "Rows in the outbox.", "state"),
		OldestUnsent:     gauge("oldest_unsent_age_seconds", "Age of the oldest outbox row not yet on the queue."),
		OldestUnfinished: gauge("oldest_unfinished_age_seconds", "Age of the oldest request without a final status."),

		ClockOffset: gauge("clock_offset_seconds", "How far the clock of the process is ahead of the database's."),

		build:    gauges("build_info", "Always 1; its labels describe the program.", "version", "goversion"),
		failures: counters("scrape_failures_total", "Readings for a scrape that failed; their gauges keep the last value.", "reading"),
		registry: prometheus.NewRegistry(),
	}
	m.registry.MustRegister(m.HTTPRequests, m.HTTPDuration, m.RateLimited, m.IntakeBatch, m.IntakeWaiting, m.CallsWaiting, m.RunBatch,
		m.Tasks, m.TaskDuration, m.Deliveries, m.DeliveryDuration, m.PlatformCalls, m.PlatformDuration, m.ClaimsLost,
		m.QueueDepth, m.QueueFull, m.OutboxDepth, m.OldestUnsent, m.OldestUnfinished, m.ClockOffset, m.build, m.failures,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// SetVersion names the version of the running program in usersync_build_info.
func (m *Metrics) SetVersion(version string) {
	m.build.WithLabelValues(version, runtime.Version()).Set(1)
}

// Handler returns the handler of GET /metrics.
func (m *Metrics) Handler() http.Handler {
	scrape := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.refresh()
		scrape.ServeHTTP(w, r)
	})
}

// ObserveHTTP counts one answered request. Route is the template of the matched
// route, "" when none matched; status is the HTTP status.
func (m *Metrics) ObserveHTTP(dialect, route, method string, status int, took time.Duration) {
	labels := []string{orNone(dialect), orNone(route), methodLabel(method), statusLabel(status)}
	m.HTTPRequests.WithLabelValues(labels...).Inc()
	m.HTTPDuration.WithLabelValues(labels...).Observe(took.Seconds())
	if status == http.StatusTooManyRequests {
		m.RateLimited.Inc()
	}
}

// ObserveTask counts one worked task.
func (m *Metrics) ObserveTask(kind, outcome string, took time.Duration) {
	m.Tasks.WithLabelValues(kind, outcome).Inc()
	m.TaskDuration.WithLabelValues(kind, outcome).Observe(took.Seconds())
}

// ObserveDelivery counts one attempt to deliver a webhook.
func (m *Metrics) ObserveDelivery(outcome string, took time.Duration) {
	m.Deliveries.WithLabelValues(outcome).Inc()
	m.DeliveryDuration.WithLabelValues(outcome).Observe(took.Seconds())
}

// ObserveCall counts one call to a platform; took is 0 when none was made.
func (m *Metrics) ObserveCall(platform, outcome string, took time.Duration) {
	m.PlatformCalls.WithLabelValues(platform, outcome).Inc()
	if took > 0 {
		m.PlatformDuration.WithLabelValues(platform).Observe(took.Seconds())
	}
}

func orNone(label string) string {
	if label == "" {
		return "none"
	}
	return label
}

// methodLabel returns the label of a method. Methods that callers invent have one
// label together.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	default:
		return "other"
	}
}

// statusLabel returns the class of an HTTP status: "2xx".
func statusLabel(status int) string {
	if class := status / 100; class >= 1 && class <= 5 {
		return statusClasses[class]
	}
	return strconv.Itoa(status/100) + "xx"
}

var statusClasses = [...]string{1: "1xx", 2: "2xx", 3: "3xx", 4: "4xx", 5: "5xx"}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
}

func gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

// sizeHistogram returns a histogram of batch sizes.
func sizeHistogram(name, help string) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: sizes})
}

// durationHistograms returns histograms of durations in seconds.
func durationHistograms(name, help string, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: durations}, labels)
}
