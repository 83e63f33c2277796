package console

import (
	"net/url"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/credit"
	"usersync/internal/usersync"
)

func TestOnlyPathsOfThisSiteAreLedTo(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"/requests?status=failed": "/requests?status=failed", "/": "/", "": "/", "requests": "/", "//evil.example.com": "/", "https://evil.example.com/": "/",
		`/\evil.example.com`: "/", "javascript:alert(1)": "/", "/%zz": "/",
	} {
		if got := safePath(given); got != want {
			t.Errorf("%q leads to %q, want %q", given, got, want)
		}
	}
}

func TestAFieldThatIsEmptiedIsTakenAway(t *testing.T) {
	t.Parallel()
	f := connectionForm{kind: connector.Platform{Credentials: []connector.Field{{Name: "apiKey", Type: "string", Secret: true}}, Settings: []connector.Field{{Name: "a"}, {Name: "b"}}},
		values: map[string]string{"settings.a": "old"}}
	in, faults := f.read(url.Values{"name": {"N"}, "settings.b": {"new"}})
	if len(faults) > 0 || len(in.Credentials) != 0 || string(in.Settings["a"]) != "null" || string(in.Settings["b"]) != `"new"` {
		t.Errorf("%+v %v", in, faults)
	}
}

func TestCreditsAreForecastByTheLastDay(t *testing.T) {
	t.Parallel()
	now := time.Now()
	charge := func(age time.Duration) credit.Entry {
		return credit.Entry{Kind: credit.EntryCharge, Amount: -1, CreatedAt: usersync.Time{Time: now.Add(-age)}}
	}
	for want, entries := range map[string][]credit.Entry{
		"Nothing was spent in the last day.":     {charge(48 * time.Hour)},
		"At today's rate they last for 10 days.": {charge(time.Hour), charge(2 * time.Hour), charge(30 * time.Hour)},
		"At today's rate they last for 20 days.": {charge(time.Hour)},
		"At today's rate they last for 7 h.":     nil,
	} {
		balance := int64(20)
		if entries == nil { // a full sample tells the time that it took
			balance = 400
			for i := range spentSample {
				entries = append(entries, charge(time.Duration(i)*time.Minute))
			}
		}
		if got := forecast(balance, entries, now); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := forecast(0, nil, now); got != "There are none left." {
		t.Error(got)
	}
}
