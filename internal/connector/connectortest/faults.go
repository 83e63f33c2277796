package connectortest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/outbound"
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

func isUnavailable(f *fixture) {
	for _, status := range []int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable} {
		f.Break(fakeplatform.Fault{Status: status})
		_, err := f.push(Ada(f))
		f.wantCode(err, usersync.CodeUnavailable)
		_, err = f.connector.Remove(f.Context(), Ada(f))
		f.clean(err, nil)
		f.wantCode(err, usersync.CodeUnavailable)
	}
}

func timesOut(f *fixture) {
	client := &outbound.Client{Guard: f.client.Guard, Timeout: 50 * time.Millisecond}
	f.Cleanup(client.Close)
	f.Break(fakeplatform.Fault{HangMS: int(within.Milliseconds())})
	_, err := f.pushTo(f.open(f.config, client), Ada(f))
	f.wantCode(err, usersync.CodeUnavailable)
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
		one := f.suite.start(f.TB)
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
