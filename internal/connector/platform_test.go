package connector_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"usersync/internal/connector"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

func TestFieldsComeFromTheTags(t *testing.T) {
	t.Parallel()
	var got []string
	k := kind(connector.Limits{})
	for _, f := range slices.Concat(k.Credentials, k.Settings) {
		got = append(got, fmt.Sprintf("%s %s %v %v %v", f.Name, f.Type, f.Required, f.Secret, f.Options))
	}
	want := []string{
		"key secret true true []", "list string false false []", "tags list false false []", "mode string false false [fast slow]",
		"baseUrl string false false []", "maxConcurrent integer false false []", "callsPerSecond number false false []",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestOpenNamesWrongFields(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, credentials, settings, want string }{
		{"all is well", `{"key":"k"}`, `{"list":"l","mode":"fast","maxConcurrent":2,"callsPerSecond":0.5}`, ""},
		{"nothing", ``, ``, "credentials.key is required: The key."},
		{"an empty secret", `{"key":""}`, ``, "credentials.key is required: The key."},
		{"an unknown credential", `{"key":"k","kee":"k"}`, ``, "credentials.kee is not known"},
		{"an unknown setting", `{"key":"k"}`, `{"lisst":"l"}`, "settings.lisst is not known"},
		{"another type", `{"key":"k"}`, `{"tags":"one"}`, "settings.tags must be list"},
		{"another type of a common one", `{"key":"k"}`, `{"maxConcurrent":"two"}`, "settings.maxConcurrent must be integer"},
		{"not an option", `{"key":"k"}`, `{"mode":"medium"}`, "settings.mode must be one of fast, slow"},
		{"below zero", `{"key":"k"}`, `{"maxConcurrent":-1,"callsPerSecond":-1}`,
			"settings.maxConcurrent must not be negative; settings.callsPerSecond must not be negative"},
		{"less than one call an hour", `{"key":"k"}`, `{"callsPerSecond":0.0001}`, "settings.callsPerSecond must be one call an hour at least"},
		{"no object", `{"key":"k"}`, `[]`, "settings must be an object."},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := kind(connector.Limits{}).Open(
				connector.Config{Credentials: json.RawMessage(c.credentials), Settings: json.RawMessage(c.settings)}, &connector.Client{})
			if got := faultsOf(err); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// faultsOf returns the faults of an error of code invalid, in one line.
func faultsOf(err error) string {
	if err == nil {
		return ""
	}
	e := usersync.AsError(err)
	if e.Code != usersync.CodeInvalid {
		return err.Error()
	}
	var out []string
	for _, f := range e.Fields {
		out = append(out, f.Field+" "+f.Message)
	}
	if len(out) == 0 {
		return e.Message
	}
	return strings.Join(out, "; ")
}

func TestAnAddressOfItsOwnIsGuarded(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://platform.example", "https://10.0.0.1", "https://user@platform.example", "ftp://platform.example"} {
		_, err := kind(connector.Limits{}).Open(connector.Config{Credentials: json.RawMessage(`{"key":"k"}`),
			Settings: json.RawMessage(`{"baseUrl":"` + url + `"}`)}, &connector.Client{})
		if got := faultsOf(err); !strings.HasPrefix(got, "settings.baseUrl ") {
			t.Errorf("%s: %q", url, got)
		}
	}
}

func TestPatchPutsAnotherListAndMoreTags(t *testing.T) {
	t.Parallel()
	k := kind(connector.Limits{})
	got, err := k.Patch(json.RawMessage(`{"list":"a","tags":["x","y"],"mode":"fast"}`), usersync.PlatformSync{List: "b", Tags: []string{"y", "z"}})
	if err != nil || string(got) != `{"list":"b","mode":"fast","tags":["x","y","z"]}` {
		t.Errorf("got %s, %v", got, err)
	}
	same := json.RawMessage(`{"mode":"fast"}`)
	if got, err := k.Patch(same, usersync.PlatformSync{FirstName: "Ada"}); err != nil || string(got) != string(same) {
		t.Errorf("got %s, %v", got, err)
	}
	bare := connector.Define(connector.Platform{Name: "bare"}, func(struct{}, struct{}, connector.Facts, *connector.Client) (connector.Connector, error) {
		return nil, nil
	})
	if _, err := bare.Patch(nil, usersync.PlatformSync{List: "b"}); err != connector.ErrNoList { //nolint:errorlint // this very one
		t.Errorf("got %v", err)
	}
	if _, err := bare.Patch(nil, usersync.PlatformSync{Tags: []string{"b"}}); err != connector.ErrNoTags { //nolint:errorlint // this very one
		t.Errorf("got %v", err)
	}
}

func TestMappingsTakeWhatTheyName(t *testing.T) {
	t.Parallel()
	p := connector.Profile{
		UserID: "user_1", Email: usersync.NewEmail("ada@example.com", "ada@example.com"), FirstName: "Ada", JobTitle: "",
		Attributes: map[string]any{"plan": "pro", "seats": 3.0, "trial": false},
	}
	m := connector.Mapping{"TITLE": "jobTitle", "PLAN": "attributes.plan", "SEATS": "attributes.seats", "TRIAL": "attributes.trial", "GONE": "attributes.gone", "LNAME": ""}
	got := fmt.Sprint(m.Or(connector.Mapping{"FNAME": "firstName", "LNAME": "lastName", "PLAN": "country"}).Values(p))
	if want := "map[FNAME:Ada PLAN:pro SEATS:3 TRIAL:false]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if faults := m.Check("fields"); faults != nil {
		t.Errorf("got %v", faults)
	}
	wrong := connector.Mapping{"A": "firstname", "B": "attributes.", "C": "attributes"}
	if faults := wrong.Check("fields"); len(faults) != 3 || faults[0].Field != "fields.A" {
		t.Errorf("got %v", faults)
	}
}

func TestQuotesAreFitToBeShown(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"plain":                               "plain",
		" two\nlines\t and \x00more ":         "two lines and more",
		"ada@example.com looks fake":          "(address) looks fake",
		`{"email":"zoë@büro.example","id":1}`: `{"email":"(address)","id":1}`,
		"<ada@example.com>,bob+x@b.example":   "<(address)>,(address)",
		strings.Repeat("ä", 301):              strings.Repeat("ä", 300) + "…",
		"bad \xff byte":                       "bad byte",
	} {
		if got := connector.Quote(said); got != want {
			t.Errorf("%q became %q, want %q", said, got, want)
		}
	}
}

func TestAnswersLoseTheCredentialsTheyRepeat(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "ada@example.com may not use "+key)
	})
	k := kind(connector.Limits{})
	k.Classify = func(r *outbound.Response) *usersync.Error { return connector.Classify(r, string(r.Body)) }
	_, err := opened(t, k, configOf("", p.url), &connector.Client{HTTP: client(t)}).call(t.Context())
	if got := err.Error(); got != "disconnected: (address) may not use (secret)" {
		t.Errorf("got %q", got)
	}
}
