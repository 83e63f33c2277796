package connectortest

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/outbound"
	"usersync/internal/outbound/hostile"
	"usersync/internal/queue"
	"usersync/internal/usersync"
)

func disconnects(f *fixture) {
	cfg := f.config
	cfg.Credentials = f.wrong()
	c := f.open(cfg, f.client)
	facts, err := c.Check(f.Context())
	f.clean(err, facts)
	f.wantCode(err, usersync.CodeDisconnected)
	_, err = f.pushTo(c, Ada(f))
	f.wantCode(err, usersync.CodeDisconnected)
	if n := f.Fake.People().Len(); n != 0 {
		f.Errorf("%d people arrived", n)
	}
}

// wrong returns the credentials with another character in the middle of every
// secret, so that their form stays right.
func (f *fixture) wrong() json.RawMessage {
	f.Helper()
	values := map[string]any{}
	if err := json.Unmarshal(f.config.Credentials, &values); err != nil {
		f.Fatal(err)
	}
	for _, field := range f.Kind.Credentials {
		if field.Secret {
			values[field.Name] = eachText(values[field.Name], misspell)
		}
	}
	text, err := json.Marshal(values)
	if err != nil {
		f.Fatal(err)
	}
	return text
}

func misspell(secret string) string {
	text := []byte(secret)
	for i := len(text) / 2; i < len(text); i++ {
		switch c := text[i]; {
		case c >= '0' && c < '9', c >= 'a' && c < 'z', c >= 'A' && c < 'Z':
			text[i]++
			return string(text)
		}
	}
	return "x" + secret[1:]
}

func disconnectsOn401(f *fixture) {
	f.Break(fakeplatform.Fault{Status: http.StatusUnauthorized})
	_, err := f.push(Ada(f))
	f.wantCode(err, usersync.CodeDisconnected)
	_, err = f.connector.Check(f.Context())
	f.clean(err, nil)
	f.wantCode(err, usersync.CodeDisconnected)
}

func waitsAsTold(f *fixture) {
	f.Break(fakeplatform.Fault{Status: http.StatusTooManyRequests, RetryAfter: "7"})
	_, err := f.push(Ada(f))
	f.wantCode(err, usersync.CodeRateLimited)
	if got := usersync.AsError(err).RetryAfter; got != 7*time.Second {
		f.Errorf("waits %v, was told 7s", got)
	}
}

func waitsUntold(f *fixture) {
	f.Break(fakeplatform.Fault{Status: http.StatusTooManyRequests})
	_, err := f.push(Ada(f))
	f.wantCode(err, usersync.CodeRateLimited)
	if got := usersync.AsError(err).RetryAfter; got <= 0 {
		f.Errorf("waits %v", got)
	}
}

func waitsAnHour(f *fixture) {
	f.Break(fakeplatform.Fault{Status: http.StatusTooManyRequests, RetryAfter: "86400"})
	_, err := f.push(Ada(f))
	f.wantCode(err, usersync.CodeRateLimited)
	if got := usersync.AsError(err).RetryAfter; got <= 0 || got > queue.MaxPause {
		f.Errorf("waits %v, want at most %v", got, queue.MaxPause)
	}
}

// pausesOneTenant has an account paused by one server, and looks who is held back by
// it: its tenant at this address, but neither another tenant with the same account
// there, nor this one elsewhere.
func pausesOneTenant(f *fixture) {
	hub, elsewhere := f.hub(), f.another()
	as := func(organization string, cfg connector.Config) connector.Connector {
		return f.openBy(cfg, hub.Client(organization, "conn_"+organization))
	}
	f.Break(fakeplatform.Fault{Status: http.StatusTooManyRequests, RetryAfter: "86400"})
	_, err := f.pushTo(as("org_1", f.config), Ada(f))
	f.wantCode(err, usersync.CodeRateLimited)
	f.Break()
	for _, free := range []struct {
		organization string
		cfg          connector.Config
	}{{"org_2", f.config}, {"org_2", elsewhere.config}, {"org_1", elsewhere.config}} {
		if _, err := f.pushTo(as(free.organization, free.cfg), Ada(f)); err != nil {
			f.Errorf("%s with %s: %v", free.organization, free.cfg.Settings, err)
		}
	}
	calls := f.calls()
	_, err = f.pushTo(as("org_1", f.config), Ada(f))
	f.wantCode(err, usersync.CodeRateLimited)
	if n := f.calls() - calls; n != 0 {
		f.Errorf("%d calls during the pause", n)
	}
}

// cutsShort has every text of every answer end in text that has no end, and bytes that
// no column takes.
func cutsShort(f *fixture) {
	long := f.suite.Serve(f.TB, lengthen)
	cfg := long.Config("")
	c := long.open(cfg, long.client)
	facts, err := c.Check(f.Context())
	f.isShort(facts, err)
	for _, known := range []connector.Facts{facts, f.config.Facts} {
		cfg.Facts = known
		c = long.open(cfg, long.client)
		people := People(f, 3)
		results, err := c.Push(f.Context(), people)
		f.isShort(results, err)
		for job := range pendingJobs(results) {
			results, err := c.(connector.Confirmer).Confirm(f.Context(), job, people)
			f.isShort(results, err)
		}
		result, err := c.Preview(f.Context(), people[0])
		f.isShort(result, err)
		result, err = c.Remove(f.Context(), people[0])
		f.isShort(result, err)
		if maker, ok := c.(connector.AudienceMaker); ok {
			id, _, err := maker.MakeAudience(f.Context(), "an audience", "")
			f.isShort(id, err)
		}
	}
}

// lengthen makes the texts of a JSON answer long, whatever its status.
func lengthen(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		body := answer.Body.Bytes()
		var value any
		if json.Unmarshal(body, &value) == nil {
			body, _ = json.Marshal(longer(value)) // it was JSON before
		}
		answer.Header().Del("Content-Length")
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(body)
	})
}

func longer(value any) any {
	switch v := value.(type) {
	case string:
		return v + "\x00" + strings.Repeat("ä", 5000)
	case []any:
		for i := range v {
			v[i] = longer(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = longer(v[key])
		}
	}
	return value
}

// isShort fails when a text of a value, or of the error beside it, is longer than
// connector allows, or is none that a column takes.
func (f *fixture) isShort(value any, err error) {
	f.Helper()
	var look func(v reflect.Value)
	look = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			if text := v.String(); len(text) > connector.MaxSentence || !utf8.ValidString(text) || strings.Contains(text, "\x00") {
				f.Errorf("a text of %d bytes that begins with %.40q", len(text), text)
			}
		case reflect.Pointer:
			if !v.IsNil() {
				look(v.Elem())
			}
		case reflect.Slice:
			for i := range v.Len() {
				look(v.Index(i))
			}
		case reflect.Map:
			for _, key := range v.MapKeys() {
				look(key)
				look(v.MapIndex(key))
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type().Field(i).Name != "Err" || v.Type() != reflect.TypeFor[usersync.Error]() { // the cause is for the log
					look(v.Field(i))
				}
			}
		}
	}
	look(reflect.ValueOf(value))
	look(reflect.ValueOf(usersync.AsError(err)))
}

func isUnavailable(f *fixture) {
	for _, status := range []int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable} {
		f.Break(fakeplatform.Fault{Status: status})
		_, err := f.push(Ada(f))
		f.wantCode(err, usersync.CodeUnavailable)
		other := f.another() // an answer may ask for rest as well
		other.Break(fakeplatform.Fault{Status: status})
		_, err = other.connector.Remove(f.Context(), Ada(f))
		f.clean(err, nil)
		f.wantCode(err, usersync.CodeUnavailable)
		f = f.another()
	}
}

func timesOut(f *fixture) {
	client := &outbound.Client{Guard: f.client.Guard, Timeout: 50 * time.Millisecond}
	f.Cleanup(client.Close)
	f.Break(fakeplatform.Fault{HangMS: int(within.Milliseconds())})
	_, err := f.pushTo(f.open(f.config, client), Ada(f))
	f.wantCode(err, usersync.CodeUnavailable)
}

// endsInTime calls servers that answer as nobody should. A push may take several calls,
// and each of them the whole time.
func endsInTime(f *fixture) {
	const timeout = 200 * time.Millisecond
	var pushes sync.WaitGroup
	for _, s := range hostile.Servers() {
		server := s.Start(f)
		client := &outbound.Client{Guard: f.client.Guard, Timeout: timeout, MaxResponse: connector.MaxResponse, RootCAs: server.Roots}
		f.Cleanup(client.Close)
		elsewhere := *f.Account
		elsewhere.url = server.URL
		cfg := elsewhere.Config("")
		cfg.Facts = f.config.Facts
		c := f.open(cfg, client)
		pushes.Go(func() {
			start := time.Now()
			results, err := c.Push(f.Context(), []connector.Profile{Ada(f)})
			if took := time.Since(start); took > within {
				f.Errorf("%s: it took %v", s.Name, took)
			}
			if !s.Answered && err == nil && results[0].Err == nil {
				f.Errorf("%s: pushed", s.Name)
			}
		})
	}
	pushes.Wait()
}

func readsNonsense(f *fixture) {
	const huge = connector.MaxResponse + 1<<20
	for _, fault := range []fakeplatform.Fault{{Body: `{"id":"1`}, {Body: "<html>Welcome</html>"}, {Huge: huge}} {
		f.Break(fault)
		_, err := f.push(Ada(f))
		if f.suite.StatusOnly && err == nil {
			continue
		}
		f.wantCode(err, usersync.CodeUnavailable)
	}
	for _, body := range []string{`null`, `[]`, `{}`, `"text"`, `1`, `[null]`, `{"errors":[null]}`} {
		f.Break(fakeplatform.Fault{Body: body})
		// Some of these are answers; what matters is that nothing panics.
		_, _ = f.push(Ada(f))
		_, _ = f.connector.Preview(f.Context(), Ada(f))
		_, _ = f.connector.Check(f.Context())
		_, _ = f.connector.Remove(f.Context(), Ada(f))
	}
}

func cancels(f *fixture) {
	ctx, cancel := context.WithCancel(f.Context())
	f.Break(fakeplatform.Fault{HangMS: int(within.Milliseconds())})
	ended := make(chan error, 1)
	go func() {
		_, err := f.connector.Push(ctx, []connector.Profile{Ada(f)})
		ended <- err
	}()
	f.eventually("the call is under way", func() bool { return f.Server.State(f.Fake.Name()).AtOnce > 0 })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		f.Errorf("cancelled under way: %v", err)
	}
	calls := f.calls()
	if _, err := f.connector.Push(ctx, []connector.Profile{Ada(f)}); !errors.Is(err, context.Canceled) {
		f.Errorf("cancelled before: %v", err)
	}
	if f.calls() != calls {
		f.Error("cancelled before, but a call was made")
	}
}

// keepsSecrets makes the platform repeat what it was sent, in the shapes of all
// platforms at once.
func keepsSecrets(f *fixture) {
	said := "no such thing: ada@" + domain + " with " + strings.Join(kindSecrets(f.Kind, f.config), " ")
	one := map[string]any{"message": said, "detail": said, "title": said, "error": said, "field": said, "code": said, "reason": said}
	for _, body := range []any{one, map[string]any{"errors": []any{one}}, map[string]any{"error": one}, map[string]any{"meta": one, "message": said}, said} {
		text, err := json.Marshal(body)
		if err != nil {
			f.Fatal(err)
		}
		for _, status := range []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable} {
			f.Break(fakeplatform.Fault{Status: status, Body: string(text)})
			_, _ = f.push(Ada(f))
			r, err := f.connector.Remove(f.Context(), Ada(f))
			f.clean(err, r)
			facts, err := f.connector.Check(f.Context())
			f.clean(err, facts)
		}
	}
}

// mostCalls bounds the calls that one push of one person may make.
const mostCalls = 10

// repeatsWhatBroke loses the answer of each call of a push in turn.
func repeatsWhatBroke(f *fixture) {
	for skip := range mostCalls {
		one := f.another()
		before := one.calls()
		one.Break(fakeplatform.Fault{Drop: true, Times: 1, Skip: skip})
		ada := Ada(f)
		results, err := one.push(ada)
		if err != nil {
			one.wantCode(err, usersync.CodeUnavailable)
		}
		broken := one.calls()-before > skip
		one.Break()
		if err == nil {
			one.confirmed([]connector.Profile{ada}, results)
		}
		if r := one.bringOne(&ada); !arrived(r) {
			f.Errorf("after losing answer %d: %+v, %v", skip+1, r, r.Err)
		}
		one.wantOne(ada, "Ada")
		if !broken {
			if skip == 0 {
				f.Error("a push makes no call")
			}
			return
		}
	}
	f.Errorf("a push of one person makes more than %d calls", mostCalls)
}
