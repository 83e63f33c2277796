//go:build unix

package chaos

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"usersync/internal/connectors/fakes"
	"usersync/internal/request"
	"usersync/test/system"
)

// harmful is an organization that does to all others what it can, the whole time. It
// harms by what it has hang, wait and pile up and by the shape of what it sends, at few
// calls a second.
type harmful struct {
	*system.Client
	organization string
	// hanging answers nobody, refusing wants rest for a day, taking takes everything.
	hanging, refusing, taking *httptest.Server
	// costly is the connection with a template that spends its budget, throttled are those
	// to refusing. named is what the one of them is made of whose account has a long name.
	costly    string
	throttled []string
	named     map[string]any
	// first is a request that does not end as long as connections hang.
	first  string
	faults system.Faults

	mu   sync.Mutex
	done map[string]int // what it did, by what that was
}

const (
	// harmfulEndpoints is the limit of the default.
	harmfulEndpoints = 50
	// harmfulConnections is less than the default, since each of its requests is pushed to
	// all of them: the database would be busy with little else.
	harmfulConnections = 20
	// harmfulImports is a limit that few small files reach.
	harmfulImports = 2
	// harmfulWaiters is how many calls wait, all the time.
	harmfulWaiters = 1000
	// harmfulBatch is how many users a large call has, which is the most.
	harmfulBatch = 1000
	// harmfulUsers is how many users it sends by themselves, again and again.
	harmfulUsers = 100
	// longName is how many bytes the name of its account at a platform has.
	longName = 4 << 20
	// longText is the longest text that an attribute takes, in bytes.
	longText = 4096
)

// newHarmful makes the organization, its endpoints and its connections, up to the
// limits. Nothing of it moves before harm.
func newHarmful(t *testing.T, w *world) *harmful {
	t.Helper()
	account := system.NewAccount(t, w.Env, "harmful")
	h := &harmful{
		Client: system.NewClient(account.Key, w.Bases()...), organization: account.Organization, done: map[string]int{},
		hanging: serve(t, hang), taking: serve(t, func(http.ResponseWriter, *http.Request) {}),
	}
	t.Cleanup(h.Leave)
	h.refusing = serve(t, h.refuse)
	limits := map[string]int{"connections": harmfulConnections, "imports": harmfulImports}
	system.Must(t, w.operator.Configure(t.Context(), h.organization, map[string]any{"limits": limits}))
	credits := map[string]any{"amount": 10_000_000, "reference": "chaos"}
	system.Must(t, w.operator.Ask(t.Context(), http.MethodPost, "/admin/v1/organizations/"+h.organization+"/credits", credits, nil))
	for i := range harmfulEndpoints {
		_, err := h.AddEndpoint(t.Context(), h.hanging.URL+"/"+strconv.Itoa(i), "colleagues.found")
		system.Must(t, err)
	}
	h.connectTo(t, w)
	return h
}

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server
}

// hang answers nothing until the caller has gone.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// refuse is a platform that wants rest for a day. It takes every key, and its account
// has a long name.
func (h *harmful) refuse(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodHead:
	case strings.HasSuffix(r.URL.Path, "/accounts"): // of Klaviyo
		h.note("accounts with a long name")
		_, _ = fmt.Fprintf(w, `{"data":[{"type":"account","id":"%s"}]}`, strings.Repeat("a", longName))
	default:
		h.note("calls answered with a wish for a day's rest")
		w.Header().Set("Retry-After", "86400")
		w.WriteHeader(http.StatusTooManyRequests)
	}
}

// connectTo makes as many connections as it may have: one with a costly template, two
// to a platform that wants rest, of which one has the name and the secret of everybody
// else's, and the others to a platform that hangs.
func (h *harmful) connectTo(t *testing.T, w *world) {
	t.Helper()
	h.costly = h.connect(t, "http", httpSettings(h.taking.URL, costlyTemplate), newSecret())
	neighbours := w.platform.fake.Config()
	h.throttled = append(h.throttled, h.connect(t, platformName, withBase(t, neighbours.Settings, h.refusing.URL), neighbours.Credentials))
	h.named = connection("klaviyo", map[string]any{"baseUrl": h.refusing.URL}, find(fakes.New(), "klaviyo").Config().Credentials)
	h.throttled = append(h.throttled, h.make(t, "", h.named))
	for i := range harmfulConnections - 3 {
		h.connect(t, "http", httpSettings(h.hanging.URL+"/"+strconv.Itoa(i), ""), newSecret())
	}
}

// withBase returns settings with another address of the platform.
func withBase(t *testing.T, settings json.RawMessage, url string) map[string]any {
	t.Helper()
	out := map[string]any{}
	system.Must(t, json.Unmarshal(settings, &out))
	out["baseUrl"] = url
	return out
}

// connect makes a connection to a server that is not asked first and returns its id.
func (h *harmful) connect(t *testing.T, platform string, settings, credentials any) string {
	t.Helper()
	return h.make(t, unasked, connection(platform, settings, credentials))
}

// unasked keeps a connection of which the platform was not asked.
const unasked = "?check=false"

func (h *harmful) make(t *testing.T, query string, one map[string]any) string {
	t.Helper()
	var made struct{ ID string }
	system.Must(t, h.Ask(t.Context(), http.MethodPost, "/v1/connections"+query, one, &made))
	return made.ID
}

func connection(platform string, settings, credentials any) map[string]any {
	return map[string]any{"platform": platform, "name": "connected", "settings": settings, "credentials": credentials}
}

// httpSettings are those of an HTTP destination, with a template of its body if there
// is one.
func httpSettings(url, template string) map[string]any {
	out := map[string]any{"url": url}
	if template != "" {
		out["body"], out["attributes"] = template, []string{"long"}
	}
	return out
}

// newSecret returns credentials of an HTTP destination that has limits of its own.
func newSecret() map[string]any {
	return map[string]any{"secret": "whsec_" + base64.StdEncoding.EncodeToString([]byte(rand.Text()+rand.Text()))}
}

var (
	// costlyTemplate is taken, because nobody has a long attribute when it is checked.
	costlyTemplate = strings.Repeat("{{if json .attributes.long}}{{end}}", 400) + `{"a":1}`
	// doubling doubles what it has with each step.
	doubling         = strings.Repeat("|json", 32)
	doublingTemplate = "{{if eq (.attributes.long" + doubling + `) ""}}{{end}}{"a":1}`
)

// harm harms until the returned function is called, which also removes what the
// organization has made.
func (h *harmful) harm(t *testing.T) (end func()) {
	t.Helper()
	h.begin(t)
	ctx, cancel := context.WithCancel(context.Background())
	var busy sync.WaitGroup
	for _, one := range []struct {
		every time.Duration
		do    func(ctx context.Context, number int)
	}{
		{time.Second, h.sendOne},
		{30 * time.Second, h.sendMany},
		{3 * time.Second, h.craft},
		{2 * time.Second, h.exceed},
		{5 * time.Second, h.goOn},
	} {
		busy.Go(func() { each(ctx, one.every, one.do) })
	}
	waiting := system.NewClient(h.Header.Get("X-Api-Key"), h.Bases...)
	waiting.Header.Set("Prefer", "wait=25")
	for range harmfulWaiters {
		busy.Go(func() { each(ctx, 10*time.Second, func(ctx context.Context, _ int) { h.await(ctx, waiting) }) })
	}
	return func() {
		cancel()
		busy.Wait()
		waiting.Leave()
		h.remove(t)
	}
}

// each calls do at once, and then as often as it ends and the time has passed, until
// ctx ends.
func each(ctx context.Context, every time.Duration, do func(ctx context.Context, number int)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for number := 0; ctx.Err() == nil; number++ {
		do(ctx, number)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// note counts something that was done.
func (h *harmful) note(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.done[what]++
}

// try makes a call once. It must be answered with one of these statuses, or as others
// are while parts are away, and counts as what it was if it was answered with the last.
func (h *harmful) try(ctx context.Context, what string, call system.Call, statuses ...int) {
	answer, err := h.Do(ctx, call)
	switch {
	case err != nil, answer.Status == http.StatusServiceUnavailable, answer.Status == http.StatusTooManyRequests:
	case !slices.Contains(statuses, answer.Status):
		h.faults.Add("the harmful organization got another answer than it should", "%s: %d %.200s", what, answer.Status, answer.Body)
	case answer.Status == statuses[len(statuses)-1]:
		h.note(what)
	}
}

func post(path string, body any) system.Call {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // of strings and numbers
	}
	return system.Call{Method: http.MethodPost, Path: path, Body: text}
}

// person is one of its users. Those of one company find each other, so the endpoints
// are told.
func person(name, company string) map[string]any {
	return map[string]any{"email": name + "@" + company, "country": "PT", "attributes": map[string]any{"long": strings.Repeat(`"`, longText)}}
}

// begin sends the first request.
func (h *harmful) begin(t *testing.T) {
	t.Helper()
	var made system.Result
	system.Must(t, h.Ask(t.Context(), http.MethodPost, "/v1/user-sync", map[string]any{"user": person("first", "harm.example")}, &made))
	h.first = made.RequestID
}

// sendOne sends a user with a long attribute: to the template, to all endpoints and to
// all connections.
func (h *harmful) sendOne(ctx context.Context, number int) {
	name := "person" + strconv.Itoa(number%harmfulUsers)
	h.try(ctx, "users with a long attribute", post("/v1/user-sync", map[string]any{"user": person(name, "harm.example")}), http.StatusAccepted)
}

// sendMany sends a large batch of users who have no colleagues.
func (h *harmful) sendMany(ctx context.Context, _ int) {
	users := make([]system.User, harmfulBatch)
	for i := range users {
		users[i] = system.User{Email: fmt.Sprintf("one@harm%d.example", i), Country: "PT"}
	}
	h.try(ctx, "large batches", system.BatchCall(users...), http.StatusAccepted)
}

// craft sends templates that would make more than there is memory.
func (h *harmful) craft(ctx context.Context, _ int) {
	const what = "refused templates that multiply"
	settings := map[string]any{"settings": map[string]any{"invitationTemplate": map[string]any{"text": "{{.name" + doubling + "}}"}}}
	change := post("/v1/organization", settings)
	change.Method = http.MethodPatch
	h.try(ctx, what, change, http.StatusBadRequest)
	h.try(ctx, what, post("/v1/connections"+unasked, connection("http", httpSettings(h.taking.URL, doublingTemplate), newSecret())), http.StatusBadRequest)
}

// exceed tries to make more than the limits allow.
func (h *harmful) exceed(ctx context.Context, _ int) {
	endpoint := map[string]any{"url": h.hanging.URL + "/more", "eventTypes": []string{"*"}}
	h.try(ctx, "refused endpoints", post("/v1/webhook-endpoints", endpoint), http.StatusConflict)
	one := connection("http", httpSettings(h.hanging.URL+"/more", ""), newSecret())
	h.try(ctx, "refused connections", post("/v1/connections"+unasked, one), http.StatusConflict)
	var uploads sync.WaitGroup
	for range 3 * harmfulImports {
		file := system.Call{
			Method: http.MethodPost, Path: "/v1/directory/imports", Type: "application/x-ndjson",
			Body: []byte(`{"email":"listed@harm.example","name":"Listed"}` + "\n"),
		}
		uploads.Go(func() { h.try(ctx, "refused imports", file, http.StatusAccepted, http.StatusConflict) })
	}
	uploads.Wait()
}

// goOn lifts the rest that its platforms asked for, so that they ask again, and has the
// long name be read again, for one connection too many.
func (h *harmful) goOn(ctx context.Context, _ int) {
	for _, id := range h.throttled {
		h.try(ctx, "lifted rests", post("/v1/connections/"+id+"/resume", map[string]any{}), http.StatusOK)
	}
	h.try(ctx, "refused connections", post("/v1/connections", h.named), http.StatusConflict)
}

// await waits for a request that does not end. A call that is answered at once, or whose
// process ends, has not waited.
func (h *harmful) await(ctx context.Context, waiting *system.Client) {
	began := time.Now()
	_, _ = waiting.Do(ctx, system.Call{Method: http.MethodGet, Path: "/v1/requests/" + h.first})
	if time.Since(began) > 5*time.Second {
		h.note("calls that waited")
	}
}

// remove has nobody hang any more, and removes all endpoints and connections: then the
// work of this organization must come to its end too.
func (h *harmful) remove(t *testing.T) {
	t.Helper()
	h.hanging.CloseClientConnections()
	type item struct{ ID string }
	for _, path := range []string{"/v1/webhook-endpoints", "/v1/connections"} {
		list, err := system.List[item](t.Context(), h.Client, path)
		system.Must(t, err)
		for _, one := range list {
			system.Must(t, h.Ask(t.Context(), http.MethodDelete, path+"/"+one.ID, nil, nil))
		}
	}
}

// harms are what it must have done for a run to show anything.
var harms = []string{
	"users with a long attribute", "large batches", "refused templates that multiply", "refused endpoints", "refused connections", "refused imports",
	"lifted rests", "calls answered with a wish for a day's rest", "accounts with a long name", "calls that waited",
}

// check checks that the harm was done, and that what could be refused was.
func (h *harmful) check(t *testing.T) {
	t.Helper()
	h.faults.Report(t)
	for _, what := range harms {
		if h.done[what] == 0 {
			t.Errorf("the harmful organization harmed nobody: no %s", what)
		}
	}
	var shown request.View
	system.Must(t, h.Ask(t.Context(), http.MethodGet, "/v1/requests/"+h.first, nil, &shown))
	i := slices.IndexFunc(shown.Steps, func(s request.StepView) bool { return s.ConnectionID == h.costly })
	if i < 0 || shown.Steps[i].Status != request.StepFailed {
		t.Errorf("what a template made of a long attribute was not too much: %+v", shown.Steps)
	}
}

// summary says what it did.
func (h *harmful) summary() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var text []string
	for _, what := range slices.Sorted(maps.Keys(h.done)) {
		text = append(text, fmt.Sprintf("%d %s", h.done[what], what))
	}
	return strings.Join(text, ", ")
}
