package marketing

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/platform"
	"usersync/internal/request"
	"usersync/internal/usersync"
)

// read is what syncUser does with a query and a body.
func read(query url.Values, body string, dryRun bool) (userSync, error) {
	u, email := userSync{dryRun: dryRun}, ""
	t, err := parse(query, []byte(body), u.parameters(&email))
	if err != nil {
		return u, err
	}
	return u, u.check(t, email)
}

func TestDryRunTakesWhatSaysTrueOrFalse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"true": true, "TRUE": true, "1": true, "false": false, "False": false, "0": false} {
		for _, unsaid := range []bool{true, false} {
			query := url.Values{"email": {"a@b.example"}, "dryRun": {text}}
			u, err := read(query, "", unsaid)
			if err != nil || u.dryRun != want {
				t.Errorf("%s in the query: %v, %v", text, u.dryRun, err)
			}
			if u, err = read(nil, `{"email":"a@b.example","dryRun":"`+text+`"}`, unsaid); err != nil || u.dryRun != want {
				t.Errorf("%s in the body: %v, %v", text, u.dryRun, err)
			}
		}
	}
	for body, want := range map[string]bool{"true": true, "1": true, "false": false, "0": false} {
		if u, err := read(nil, `{"email":"a@b.example","dryRun":`+body+`}`, !want); err != nil || u.dryRun != want {
			t.Errorf("%s: %v, %v", body, u.dryRun, err)
		}
	}
	for _, wrong := range []string{`"yes"`, `"on"`, `2`, `-1`, `1.0`, `[]`, `{}`, `""`} {
		_, err := read(nil, `{"email":"a@b.example","dryRun":`+wrong+`}`, false)
		if e := usersync.AsError(err); e == nil || len(e.Fields) != 1 || e.Fields[0].Field != "dryRun" {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	if u, err := read(url.Values{"dryRun": {""}}, `{"email":"a@b.example","dryRun":null}`, true); err != nil || !u.dryRun {
		t.Errorf("an empty value and null changed the default: %v", err)
	}
}

// bulkBody is what syncUsers does with a query and a body.
func bulkBody(query url.Values, body string) (usersSync, bool, error) {
	u := usersSync{activeDays: defaultDays}
	t, err := parse(query, []byte(body), u.parameters())
	if err != nil {
		return u, false, err
	}
	audience, err := u.check(t, time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC))
	return u, audience, err
}

func TestTheShapeOfABulkCall(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		query, body string
		audience    bool
		refused     string // the first wrong field
	}{
		{body: ``, audience: true},
		{body: `{}`, audience: true},
		{body: `{"audienceName":"x","platform":"brevo"}`, audience: true},
		{body: `{"filterActive":true,"activeDays":"7"}`, audience: true},
		{body: `{"platform":"mailchimp","sync_type":"all"}`},
		{query: "platform=mailchimp&sync_type=selected&user_ids=user1,user2&tags=a&tags=b"},
		{query: "sync_type=all", body: `{"platform":"mailchimp","sync_type":"selected"}`},
		{body: `{"platform":"mailchimp"}`, refused: "sync_type"},
		{body: `{"sync_type":"all"}`, refused: "platform"},
		{body: `{"platform":"mailchimp","sync_type":"selected","user_ids":[]}`, refused: "user_ids"},
		{body: `{"platform":"mailchimp","sync_type":"selected","user_ids":["a b"]}`, refused: "user_ids[0]"},
		{body: `{"platform":"mailchimp","sync_type":"selected","user_ids":["user1","ann@acme.example"]}`, refused: "user_ids[1]"},
		{body: `{"platform":"mailchimp","tags":["x"],"audienceName":"x"}`, refused: "audienceName"},
		{body: `{"activeDays":0}`, refused: "activeDays", audience: true},
		{body: `{"activeDays":1.5}`, refused: "activeDays", audience: true},
		{query: "activeDays=4000", refused: "activeDays", audience: true},
		{query: "user_ids=a,,b&platform=x&sync_type=selected", refused: "user_ids"},
	} {
		query, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		_, audience, err := bulkBody(query, c.body)
		refused := ""
		if e := usersync.AsError(err); e != nil && len(e.Fields) > 0 {
			refused = e.Fields[0].Field
		}
		if audience != c.audience || refused != c.refused || (err == nil) != (c.refused == "") {
			t.Errorf("%s %s: audience %v, %v", c.query, c.body, audience, err)
		}
	}
}

func TestABulkCallIsCompleted(t *testing.T) {
	t.Parallel()
	u, _, err := bulkBody(nil, `{"filterActive":true}`)
	if err != nil || u.audienceName != "Audience 2026-11-22" || u.activeDays != 30 {
		t.Errorf("%+v %v", u, err)
	}
	now := time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)
	if since := u.activeSince(now); !since.Equal(now.AddDate(0, 0, -30)) {
		t.Errorf("active since %s", since)
	}
	if u, _, _ = bulkBody(nil, `{"activeDays":5}`); !u.activeSince(now).IsZero() {
		t.Error("activeDays counts though filterActive does not say so")
	}
	u, _, err = bulkBody(nil, `{"platform":"mailchimp","sync_type":"all","user_ids":["user1"],"tags":[" a ","b"]}`)
	if err != nil || u.userIDs != nil || !slices.Equal(u.tags, []string{"a", "b"}) {
		t.Errorf("%+v %v", u, err)
	}
}

type settings struct {
	List string   `json:"listId" help:"The list." role:"list"`
	Tags []string `json:"tags,omitempty" help:"The tags." role:"tags"`
}

type plain struct {
	URL string `json:"url" help:"The address."`
}

func define[S any](name string) connector.Platform {
	return connector.Define(connector.Platform{Name: name}, func(struct{}, S, connector.Facts, *connector.Client) (connector.Connector, error) { return nil, nil })
}

func TestABulkIsPushedWhereItsListIs(t *testing.T) {
	t.Parallel()
	kind := define[settings]("mailchimp")
	active := []platform.Connection{
		{ID: "con_1", Settings: json.RawMessage(`{"listId":"one","tags":["a"]}`)},
		{ID: "con_2", Settings: json.RawMessage(`{"tags":["a","b"],"listId":"two"}`)},
	}
	for _, c := range []struct {
		patch, want usersync.PlatformSync
		connection  string
	}{
		{connection: "con_1"},
		{patch: usersync.PlatformSync{List: "one"}, connection: "con_1"},
		{patch: usersync.PlatformSync{List: "two", Tags: []string{"b", "a"}}, connection: "con_2"},
		{patch: usersync.PlatformSync{Tags: []string{"b"}}, connection: "con_2"},
		{patch: usersync.PlatformSync{List: "three"}, want: usersync.PlatformSync{List: "three"}, connection: "con_1"},
		{patch: usersync.PlatformSync{List: "one", Tags: []string{"c"}}, want: usersync.PlatformSync{List: "one", Tags: []string{"c"}}, connection: "con_1"},
	} {
		chosen, patch, err := choose(kind, active, c.patch)
		if err != nil || chosen.ID != c.connection || patch.List != c.want.List || !slices.Equal(patch.Tags, c.want.Tags) {
			t.Errorf("%+v: %s %+v, %v", c.patch, chosen.ID, patch, err)
		}
	}
	for field, patch := range map[string]usersync.PlatformSync{"list_id": {List: "x", Tags: []string{"y"}}, "tags": {Tags: []string{"y"}}} {
		_, _, err := choose(define[plain]("http"), active[:1], patch)
		if e := usersync.AsError(err); e == nil || e.Code != usersync.CodeInvalid || e.Fields[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestStepsAreShownInTheDialectsWords(t *testing.T) {
	t.Parallel()
	at := usersync.Time{Time: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	for _, c := range []struct {
		step request.StepView
		want platformBody
	}{
		{request.StepView{Status: request.StepSynced, Details: "User added"}, platformBody{Status: "synced", Details: "User added"}},
		{request.StepView{Status: request.StepPending}, platformBody{Status: "pending", Details: "Waiting for the platform"}},
		{request.StepView{Status: request.StepRetrying, NextAttemptAt: at, Error: &request.ErrorView{Message: "It did not answer."}},
			platformBody{Status: "pending", Details: "It did not answer. It is tried again at 2026-11-22T10:00:00Z."}},
		{request.StepView{Status: request.StepFailed, Error: &request.ErrorView{Message: "A bad address.", Owner: usersync.OwnerPlatform, Hint: "Look."}},
			platformBody{Status: "failed", Details: "A bad address. (caused by the platform: Look.)"}},
		{request.StepView{Status: request.StepSkipped, Reason: usersync.ReasonUnsubscribed}, platformBody{Status: "skipped", Details: "The user has unsubscribed there"}},
		{request.StepView{Status: request.StepUnchanged}, platformBody{Status: "unchanged", Details: "The platform already has exactly this"}},
	} {
		if got := newPlatformBody(c.step); got != c.want {
			t.Errorf("%+v, want %+v", got, c.want)
		}
	}
}

func FuzzParameters(f *testing.F) {
	for _, seed := range [][2]string{
		{"email=a@b.example&dryRun=1", `{"first_name":"x"}`}, {"", `{"email":"a@b.example","dryRun":"true"}`}, {"email=%00", `[`},
		{"user_ids=a,b&sync_type=selected&platform=x", `{"tags":["",1]}`}, {"activeDays=1e9", `{"activeDays":30,"filterActive":1}`}, {"", "\xff"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, query, body string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		u, err := read(values, body, false)
		checkRefusal(t, err)
		if err == nil && (u.email.IsZero() || len([]rune(u.firstName)) > maxName) {
			t.Errorf("%q %q gave %+v", query, body, u)
		}
		b, audience, err := bulkBody(values, body)
		checkRefusal(t, err)
		if err != nil {
			return
		}
		if audience && b.audienceName == "" || !audience && b.syncType != syncAll && b.syncType != syncSelected {
			t.Errorf("%q %q gave %+v", query, body, b)
		}
		if b.activeDays < 1 || b.activeDays > maxDays || len(b.userIDs) > maxUserIDs || slices.Contains(b.tags, "") {
			t.Errorf("%q %q gave %+v", query, body, b)
		}
	})
}

// checkRefusal holds a refusal against what the contract says of it: it is the
// caller's, and names what is wrong.
func checkRefusal(t *testing.T, err error) {
	t.Helper()
	if e := usersync.AsError(err); e != nil && (e.Code != usersync.CodeInvalid || strings.TrimSpace(e.Message) == "") {
		t.Errorf("refused with %v", err)
	}
}
