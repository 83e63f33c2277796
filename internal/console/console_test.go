package console

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"usersync/internal/connector"
	"usersync/internal/credit"
	"usersync/internal/followup"
	"usersync/internal/request"
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

func TestWrongKeysAreThrottledByAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := newTries()
		for range triesAtOnce {
			if wait := tries.wait("192.0.2.1:1"); wait != 0 {
				t.Fatalf("has to wait for %s", wait)
			}
			tries.note("192.0.2.1:1")
		}
		if wait := tries.wait("192.0.2.1:2"); wait <= 0 || wait > triesEvery {
			t.Errorf("waits for %s", wait)
		}
		if wait := tries.wait("192.0.2.2:1"); wait != 0 {
			t.Error("another address has to wait")
		}
		time.Sleep(triesEvery) // of the bubble's clock
		if wait := tries.wait("192.0.2.1:1"); wait != 0 {
			t.Errorf("after a while, waits for %s", wait)
		}
	})
	if origin("[2001:db8::1]:5") != origin("[2001:db8::2]:6") || origin("[2001:db8::1]:5") == origin("[2001:db8:0:1::1]:5") {
		t.Error("IPv6 is not told apart by network")
	}
}

func TestFieldsOfAConnectionAreReadByTheirType(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, text, value, fault string }{
		{"string", "x", `"x"`, ""}, {"string", "", "", ""}, {"secret", "s", `"s"`, ""}, {"integer", "12", "12", ""}, {"integer", "twelve", "", "must be a integer"},
		{"integer", `"1"`, "", "must be a integer"}, {"boolean", "true", "true", ""}, {"list", " a \n\nb", `["a","b"]`, ""}, {"map", "A = b\nC=d = e", `{"A":"b","C":"d = e"}`, ""},
		{"map", "A", "", "must have lines of name = value"},
	} {
		value, fault := valueOf(connector.Field{Type: c.kind}, c.text)
		if string(value) != c.value || fault != c.fault {
			t.Errorf("%s %q: %s, %q; want %s, %q", c.kind, c.text, value, fault, c.value, c.fault)
		}
		if value == nil || c.kind == "integer" || c.kind == "boolean" {
			continue
		}
		if again, _ := valueOf(connector.Field{Type: c.kind}, textOfValue(value)); string(again) != string(value) {
			t.Errorf("%s is shown as %q, which reads as %s", value, textOfValue(value), again)
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

func TestFailuresAreGroupedByWhatTheyHaveInCommon(t *testing.T) {
	t.Parallel()
	now := time.Now()
	failed := func(id, connection string, code usersync.Code, age time.Duration) *request.View {
		return &request.View{RequestID: id, CreatedAt: usersync.Time{Time: now.Add(-age)}, Steps: []request.StepView{
			{Name: request.StepColleagues, Status: request.StepSucceeded},
			{Name: request.StepPlatform, Platform: "mailchimp", ConnectionID: connection, Status: request.StepFailed, Error: &request.ErrorView{Code: code, Message: "m-" + id}},
		}}
	}
	f := groupsOf([]*request.View{failed("c", "one", "rejected", time.Minute), failed("b", "two", "rejected", time.Hour), failed("a", "one", "rejected", 2*time.Hour)}, now)
	if len(f.groups) != 2 || f.requests != 3 {
		t.Fatalf("%+v", f)
	}
	first := f.groups[0]
	if first.connection != "one" || strings.Join(first.requests, "") != "ca" || first.message != "m-c" || first.bars[0] != 1 || first.bars[barCount-1] != 1 {
		t.Errorf("%+v", first)
	}
	if got := groupsOf(nil, now); len(got.groups) != 0 {
		t.Errorf("%+v", got)
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

func TestADiffHasEveryLineOfBoth(t *testing.T) {
	t.Parallel()
	var got []string
	for _, l := range diff("a\nb\nc", "a\nx\nc\nd") {
		got = append(got, l.sign+l.text)
	}
	if text := strings.Join(got, "|"); text != " a|-b|+x| c|+d" && text != " a|+x|-b| c|+d" {
		t.Error(text)
	}
	if changed(diff("a", "a")) || !changed(diff("", "a")) || len(diff("", "")) != 0 {
		t.Error("what changed is not told")
	}
}

func TestAFollowUpIsMadeOfAForm(t *testing.T) {
	t.Parallel()
	in := readFollowUp(url.Values{
		"name": {"N"}, "trigger": {"user/register"}, "join": {"any"},
		"field0": {"profile.country"}, "compare0": {"equals"}, "value0": {"DE"}, "field1": {"attributes.size"}, "compare1": {"more"}, "value1": {"5"}, "field2": {"profile.phone"}, "compare2": {"isNotSet"},
		"action0": {"add-tag"}, "with0": {"german"}, "action2": {"wait"}, "with2": {"3d"},
	})
	text, err := json.Marshal(followup.Definition{Name: *in.Name, Trigger: *in.Trigger, Condition: in.Condition, Actions: *in.Actions})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"name":"N","trigger":{"type":"user/register"},"condition":{"any":[{"field":"profile.country","equals":"DE"},{"field":"attributes.size","more":5},` +
		`{"field":"profile.phone","isSet":false}]},"actions":[{"type":"add-tag","tags":["german"]},{"type":"wait","for":"3d"}]}`
	if string(text) != want {
		t.Errorf("%s\nwant %s", text, want)
	}
	if empty := readFollowUp(url.Values{"name": {"N"}}); empty.Condition != nil || len(*empty.Actions) != 0 {
		t.Errorf("%+v", empty)
	}
}
