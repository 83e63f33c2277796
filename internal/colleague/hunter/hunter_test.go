package hunter_test

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"usersync/internal/colleague"
	"usersync/internal/colleague/hunter"
	"usersync/internal/colleague/hunter/huntertest"
	"usersync/internal/outbound"
	"usersync/internal/outbound/hostile"
	"usersync/internal/roomtest"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// site is an organization that looks people up at a fake.
type site struct {
	*huntertest.Fake
	source *hunter.Source
	ask    colleague.Ask
}

func each(t *testing.T, test func(t *testing.T, s site)) {
	t.Helper()
	roomtest.Each(t, 0, func(t *testing.T, n roomtest.Tenant) {
		client := &outbound.Client{Guard: &outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, Timeout: 5 * time.Second}
		t.Cleanup(client.Close)
		f := huntertest.Start(t)
		test(t, site{f, &hunter.Source{Client: client}, colleague.Ask{
			Org:      n.Org(n.Organization.ID),
			Settings: tenant.ColleagueSource{Name: "hunter", APIKey: usersync.MaskedSecret{Secret: usersync.NewSecret(huntertest.Key)}, URL: f.URL()},
		}})
	})
}

func (s site) find(t *testing.T, companies ...string) ([]colleague.Answer, error) {
	t.Helper()
	s.ask.Queries = nil
	for _, c := range companies {
		s.ask.Queries = append(s.ask.Queries, colleague.CandidateQuery{Company: c, Country: "US"})
	}
	return s.source.Find(t.Context(), s.ask)
}

func TestFindReadsWhatHunterKnows(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.Add("acme.example.com", "ann@acme.example.com", "Ann", "Example", "Engineer", "2026-03-01")
		s.Add("acme.example.com", "no address", "Bob", "Example", "", "")
		s.Add("acme.example.com", "eve@acme.example.com", "Eve", "", "gone", "")
		s.Add("acme.example.com", "cat@acme.example.com", "", "", "", "never")
		got, err := s.find(t, "acme.example.com", "other.example.com", "acme.example.com")
		if err != nil || len(got) != 3 || len(got[0].People) != 2 || len(got[1].People) != 0 || len(got[2].People) != 2 {
			t.Fatalf("%+v %v", got, err)
		}
		ann := got[0].People[0]
		seen := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
		if ann.Email.Key() != "ann@acme.example.com" || ann.Name != "Ann Example" || ann.JobTitle != "Engineer" || ann.CompanyName != "Acme" ||
			ann.Website != "https://acme.example.com" || ann.UpdatedAt != seen {
			t.Errorf("%+v", ann)
		}
	})
}

func TestFindAsksOnceForACompany(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.Add("acme.example.com", "ann@acme.example.com", "Ann", "Example", "Engineer", "")
		for range 3 {
			got, err := s.find(t, "acme.example.com", "acme.example.com", "nobody.example.com")
			if err != nil || len(got[0].People) != 1 || got[2].Err != nil {
				t.Fatalf("%+v %v", got, err)
			}
		}
		if s.Asked("acme.example.com") != 1 || s.Asked("nobody.example.com") != 1 {
			t.Errorf("asked %d and %d times", s.Asked("acme.example.com"), s.Asked("nobody.example.com"))
		}
	})
}

func TestKeptAndAskedAnswersGoTogether(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		var every, second []string
		for i := range 40 {
			company := fmt.Sprintf("c%d.example.com", i)
			s.Add(company, fmt.Sprintf("ann@c%d.example.com", i), "Ann", "Example", "Engineer", "")
			every = append(every, company)
			if i%2 == 1 {
				second = append(second, company)
			}
		}
		if _, err := s.find(t, second...); err != nil {
			t.Fatal(err)
		}
		got, err := s.find(t, every...)
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range got {
			if a.Err != nil || len(a.People) != 1 || a.People[0].Website != "https://"+every[i] || s.Asked(every[i]) != 1 {
				t.Errorf("%s: %+v, asked %d times", every[i], a, s.Asked(every[i]))
			}
		}
	})
}

func TestHunterIsLeftAloneAfterARefusal(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]usersync.Code{403: usersync.CodeRateLimited, 429: usersync.CodeRateLimited, 401: usersync.CodeDisconnected} {
		each(t, func(t *testing.T, s site) {
			s.Break(huntertest.Fault{Status: status})
			got, err := s.find(t, "a.example.com")
			if err != nil || usersync.CodeOf(got[0].Err) != want {
				t.Fatalf("%d: %+v %v", status, got, err)
			}
			s.Break(huntertest.Fault{})
			if _, err := s.find(t, "b.example.com"); usersync.CodeOf(err) != want || s.Asked("b.example.com") != 0 {
				t.Errorf("%d: %v, asked %d times", status, err, s.Asked("b.example.com"))
			}
			s.ask.Settings.URL += "/" // another setting lifts it
			if got, err := s.find(t, "b.example.com"); err != nil || got[0].Err != nil || s.Asked("b.example.com") != 1 {
				t.Errorf("%d: after a change of the settings %+v %v, asked %d times", status, got, err, s.Asked("b.example.com"))
			}
		})
	}
}

func TestAFailureIsThatOfItsCompanyAlone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		if _, err := s.find(t, "a.example.com"); err != nil {
			t.Fatal(err)
		}
		for _, fault := range []huntertest.Fault{{Status: 500}, {Body: `{"data":`}, {Body: strings.Repeat("x", 2<<20)}} {
			s.Break(fault)
			got, err := s.find(t, "a.example.com", "b.example.com")
			if err != nil || got[0].Err != nil || usersync.CodeOf(got[1].Err) != usersync.CodeUnavailable {
				t.Errorf("%+v %v", got, err)
			}
		}
		s.Break(huntertest.Fault{})
		if got, err := s.find(t, "b.example.com"); err != nil || got[0].Err != nil {
			t.Errorf("a failure was kept: %+v %v", got, err)
		}
	})
}

func TestHunterThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		hang := make(chan struct{})
		defer close(hang)
		s.Break(huntertest.Fault{Hang: hang})
		s.source.Client.Timeout = 50 * time.Millisecond
		got, err := s.find(t, "a.example.com")
		if err != nil || usersync.CodeOf(got[0].Err) != usersync.CodeUnavailable {
			t.Errorf("%+v %v", got, err)
		}
	})
}

func TestErrorsOfHunterShowNoKey(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.ask.Settings.APIKey.Secret = usersync.NewSecret("another-secret-key")
		got, err := s.find(t, "a.example.com")
		if err != nil || got[0].Err == nil || strings.Contains(got[0].Err.Error(), "another") || !strings.Contains(got[0].Err.Error(), "refuses the API key") {
			t.Errorf("%+v %v", got, err)
		}
	})
}

func TestWhatTheServiceSaysIsCutShort(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 100_000) + "\x00"
	each(t, func(t *testing.T, s site) {
		s.Add("acme.example.com", "ann@acme.example.com", "Ann\x00", long, long, "")
		s.Add("acme.example.com", strings.Repeat("a", 300)+"@acme.example.com", "Bob", "", "", "")
		got, err := s.find(t, "acme.example.com")
		if err != nil || len(got[0].People) != 1 {
			t.Fatalf("%d people, %v, %v", len(got[0].People), got[0].Err, err)
		}
		ann := got[0].People[0]
		for _, text := range []string{ann.Name, ann.JobTitle, ann.CompanyName, ann.Website} {
			if len(text) > 250 || strings.Contains(text, "\x00") {
				t.Errorf("a text of %d bytes that begins with %.20q", len(text), text)
			}
		}
		if !strings.HasPrefix(ann.Name, "Ann ää") || !strings.HasPrefix(ann.JobTitle, "ää") {
			t.Errorf("%.40q, %.40q", ann.Name, ann.JobTitle)
		}
	})
}

// TestEveryHostileAnswerEndsTheSearchInTime checks that a search ends whatever stands at
// the address that the settings name.
func TestEveryHostileAnswerEndsTheSearchInTime(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		const timeout = 500 * time.Millisecond
		var searches sync.WaitGroup
		for _, h := range hostile.Servers() {
			server := h.Start(t)
			client := &outbound.Client{Guard: &outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, Timeout: timeout, RootCAs: server.Roots}
			t.Cleanup(client.Close)
			ask := s.ask
			ask.Settings.URL = server.URL
			ask.Queries = []colleague.CandidateQuery{{Company: "acme.example.com"}}
			searches.Go(func() {
				start := time.Now()
				got, err := (&hunter.Source{Client: client}).Find(t.Context(), ask)
				if took := time.Since(start); took > timeout+5*time.Second {
					t.Errorf("%s: it took %v", h.Name, took)
				}
				if err == nil && got[0].Err == nil {
					t.Errorf("%s: no error", h.Name)
				}
			})
		}
		searches.Wait()
	})
}
