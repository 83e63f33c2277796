// Package providertest holds the tests that every provider passes.
package providertest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"usersync/internal/identity"
	"usersync/internal/outbound"
	"usersync/internal/provider"
	"usersync/internal/provider/fakeprovider"
	"usersync/internal/usersync"
)

// Fake is the fake of a provider.
type Fake interface {
	http.Handler
	Put(users ...fakeprovider.User)
	Break(f fakeprovider.Fault)
	Mend()
	Calls(path string) int
	Notes() []string
}

// Subject is the provider under test.
type Subject struct {
	// New returns an account at a fake that is served at base.
	New func(client *outbound.Client, base, secret string) provider.Provider
	// Fake returns a fake without users.
	Fake   func() Fake
	Secret string
	// Search and Token are parts of the paths of calls; Token is "" where there are no
	// tokens.
	Search, Token string
	// Throttled is what an account gets that has called too often, and Wait what it asks for.
	Throttled fakeprovider.Fault
	Wait      time.Duration
	// Failing is what the provider answers when something is wrong on its side.
	Failing fakeprovider.Fault
}

// stand is one account at one fake.
type stand struct {
	Subject
	fake     Fake
	provider provider.Provider
	server   *httptest.Server
	client   *outbound.Client
}

func (s Subject) open(t *testing.T, secret string) *stand {
	t.Helper()
	fake := s.Fake()
	server := httptest.NewServer(fake)
	client := &outbound.Client{Guard: &outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, MaxResponse: provider.MaxAnswer}
	t.Cleanup(func() { client.Close(); server.CloseClientConnections(); server.Close() })
	return &stand{Subject: s, fake: fake, server: server, client: client, provider: s.New(client, server.URL, secret)}
}

func address(t *testing.T, text string) usersync.Email {
	t.Helper()
	email, err := identity.ParseEmail(text)
	if err != nil {
		t.Fatal(err)
	}
	return email
}

var ann = fakeprovider.User{ID: "id-1", Email: "ann@acme.example.com", FirstName: "Ann", LastName: "Lee", Verified: true}

// Run runs the tests.
func Run(t *testing.T, s Subject) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Subject){
		"a user is found, in whatever case": found, "nobody is no error": nobody, "somebody else is nobody": somebodyElse,
		"a hostile address is only an address": hostile, "refused credentials": refused, "throttled": throttled, "failing": failing,
		"a provider that hangs": hanging, "answers that cannot be read": unreadable, "a circuit opens and closes": circuit,
		"one token for many": oneToken, "errors show nothing": silent, "what is told fits": fits,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

func found(t *testing.T, s Subject) {
	st := s.open(t, s.Secret)
	st.fake.Put(ann, fakeprovider.User{ID: "id-2", Email: "Bob.Jones@Acme.example.com", FirstName: "Bob"})
	for asked, first := range map[string]string{"ann@acme.example.com": "Ann", "ANN@Acme.example.com": "Ann"} {
		p, ok, err := st.provider.Find(t.Context(), address(t, asked))
		if err != nil || !ok || p.FirstName != first || p.ID != "id-1" || p.LastName != "Lee" || p.Email.Key() != "ann@acme.example.com" || p.Verified == nil || !*p.Verified {
			t.Errorf("%s: %+v %v %v", asked, p, ok, err)
		}
	}
}

func nobody(t *testing.T, s Subject) {
	st := s.open(t, s.Secret)
	if p, ok, err := st.provider.Find(t.Context(), address(t, "nobody@acme.example.com")); ok || err != nil {
		t.Errorf("%+v %v %v", p, ok, err)
	}
}

// somebodyElse has a provider that answers with another user than was asked for.
func somebodyElse(t *testing.T, s Subject) {
	st := s.open(t, s.Secret)
	st.fake.Put(fakeprovider.User{ID: "id-3", Email: "eve@acme.example.com", FirstName: "Eve", More: map[string]any{"email": "mallory@acme.example.com"}})
	if p, ok, err := st.provider.Find(t.Context(), address(t, "eve@acme.example.com")); ok || err != nil {
		t.Errorf("%+v %v %v", p, ok, err)
	}
}

func hostile(t *testing.T, s Subject) {
	st := s.open(t, s.Secret)
	st.fake.Put(ann)
	for _, text := range []string{`o'brien@acme.example.com`, `a+b&email=ann@acme.example.com`, `a%40x#?@acme.example.com`, `{a}/x/b=c@acme.example.com`, `a|b~!$*@acme.example.com`} {
		p, ok, err := st.provider.Find(t.Context(), address(t, text))
		if ok || err != nil {
			t.Errorf("%s: %+v %v %v", text, p, ok, err)
		}
		notes := st.fake.Notes()
		if len(notes) == 0 || !strings.Contains(notes[len(notes)-1], text) {
			t.Errorf("%s arrived as %q", text, notes)
		}
	}
}

func refused(t *testing.T, s Subject) {
	st := s.open(t, "wrong")
	if _, _, err := st.provider.Find(t.Context(), address(t, ann.Email)); usersync.CodeOf(err) != usersync.CodeDisconnected {
		t.Error(err)
	}
}

func throttled(t *testing.T, s Subject) {
	st := s.open(t, s.Secret)
	st.fake.Put(ann)
	f := s.Throttled
	f.Path = s.Search
	st.fake.Break(f)
	_, _, err := st.provider.Find(t.Context(), address(t, ann.Email))
	wait := usersync.AsError(err)
	if usersync.CodeOf(err) != usersync.CodeRateLimited || wait.RetryAfter < s.Wait-2*time.Second || wait.RetryAfter > s.Wait+2*time.Second {
		t.Fatalf("%v, want a wait of %v", err, s.Wait)
	}
	before := st.fake.Calls(s.Search)
	st.fake.Mend()
	if _, _, err := st.provider.Find(t.Context(), address(t, ann.Email)); usersync.CodeOf(err) != usersync.CodeRateLimited || st.fake.Calls(s.Search) != before {
		t.Errorf("it is not left alone: %v", err)
	}
}

func failing(t *testing.T, s Subject) {
	st := s.open(t, s.Secret)
	st.fake.Put(ann)
	for _, f := range []fakeprovider.Fault{s.Failing, {Status: 500, Body: "x"}, {Status: 503}} {
		f.Times = 1
		st.fake.Break(f)
		if _, _, err := st.provider.Find(t.Context(), address(t, ann.Email)); usersync.CodeOf(err) != usersync.CodeUnavailable {
			t.Errorf("%+v: %v", f, err)
		}
	}
	if _, ok, err := st.provider.Find(t.Context(), address(t, ann.Email)); !ok || err != nil {
		t.Errorf("afterwards: %v %v", ok, err)
	}
}

func hanging(t *testing.T, s Subject) {
	st := s.open(t, s.Secret)
	st.fake.Break(fakeprovider.Fault{Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, _, err := st.provider.Find(ctx, address(t, ann.Email)); usersync.CodeOf(err) != usersync.CodeUnavailable {
		t.Error(err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
}

func unreadable(t *testing.T, s Subject) {
	for name, f := range map[string]fakeprovider.Fault{
		"no JSON": {Body: "<html>"}, "nothing": {}, "another shape": {Body: `"text"`}, "too much": {Body: `[{"email":"` + strings.Repeat("x", provider.MaxAnswer) + `"}]`},
		"deep": {Body: strings.Repeat("[", 20000)}, "elsewhere": {Status: http.StatusFound, Header: map[string]string{"Location": "http://127.0.0.1:1/"}},
	} {
		st := s.open(t, s.Secret)
		st.fake.Put(ann)
		f.Path = s.Search
		st.fake.Break(f)
		p, ok, err := st.provider.Find(t.Context(), address(t, ann.Email))
		if ok || err == nil && name != "another shape" {
			t.Errorf("%s: %+v %v %v", name, p, ok, err)
		}
	}
}

func circuit(t *testing.T, s Subject) {
	st := s.open(t, s.Secret)
	st.fake.Put(ann)
	if _, ok, err := st.provider.Find(t.Context(), address(t, ann.Email)); !ok || err != nil {
		t.Fatal(ok, err)
	}
	st.fake.Break(fakeprovider.Fault{Status: 502})
	for range 10 {
		if _, _, err := st.provider.Find(t.Context(), address(t, ann.Email)); usersync.CodeOf(err) != usersync.CodeUnavailable {
			t.Fatal(err)
		}
	}
	if calls := st.fake.Calls(s.Search); calls > 6 {
		t.Errorf("%d calls were made to a provider that does not answer", calls)
	}
}

// oneToken has many look-ups at once, and then tokens that are refused.
func oneToken(t *testing.T, s Subject) {
	if s.Token == "" {
		t.Skip("this provider has no tokens")
	}
	st := s.open(t, s.Secret)
	st.fake.Put(ann)
	many := func() {
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if _, ok, err := st.provider.Find(t.Context(), address(t, ann.Email)); !ok || err != nil {
					t.Error(ok, err)
				}
			})
		}
		all.Wait()
	}
	many()
	if n := st.fake.Calls(s.Token); n != 1 {
		t.Errorf("%d tokens were fetched", n)
	}
}

// silent looks into every error for what nobody may see.
func silent(t *testing.T, s Subject) {
	for _, f := range []fakeprovider.Fault{{Status: 400, Body: "body-of-the-answer"}, {Status: 500, Body: "body-of-the-answer"}, {Body: "body-of-the-answer"}, s.Throttled, s.Failing} {
		st := s.open(t, s.Secret)
		st.fake.Break(f)
		_, _, err := st.provider.Find(t.Context(), address(t, ann.Email))
		if err == nil {
			continue
		}
		for _, hidden := range []string{s.Secret, ann.Email, "body-of-the-answer"} {
			if strings.Contains(err.Error(), hidden) {
				t.Errorf("%+v: the error shows %s: %v", f, hidden, err)
			}
		}
	}
}

func fits(t *testing.T, s Subject) {
	st := s.open(t, s.Secret)
	st.fake.Put(fakeprovider.User{ID: strings.Repeat("i", 10_000), Email: ann.Email, FirstName: strings.Repeat("é", 10_000) + "\x00\x1b[31m", LastName: " \t "})
	p, ok, err := st.provider.Find(t.Context(), address(t, ann.Email))
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	p = p.Tidy()
	if len(p.ID) > 256 || len(p.FirstName) > 256 || strings.ContainsAny(p.FirstName, "\x00\x1b") || p.LastName != "" {
		t.Errorf("%+v", p)
	}
}
