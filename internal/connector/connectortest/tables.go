package connectortest

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// Meaning is what an answer of a platform means.
type Meaning struct {
	Name   string // of the subtest; "" for the status
	Status int
	Header http.Header
	Body   string
	Code   usersync.Code // "" for a success
	Wait   time.Duration
	Says   string // stands in the message
}

// everywhere is what answers mean on every platform, whatever else it says.
var everywhere = []Meaning{
	{Status: 200}, {Status: 201}, {Status: 202}, {Status: 204},
	{Status: 401, Body: `{"message":"unauthorized"}`, Code: usersync.CodeDisconnected},
	{Status: 401, Code: usersync.CodeDisconnected},
	{Status: 500, Code: usersync.CodeUnavailable}, {Status: 500, Body: "<html>", Code: usersync.CodeUnavailable},
	{Status: 502, Code: usersync.CodeUnavailable}, {Status: 502, Body: "<html>", Code: usersync.CodeUnavailable},
	{Status: 503, Code: usersync.CodeUnavailable}, {Status: 503, Body: "<html>", Code: usersync.CodeUnavailable},
	{Status: 504, Code: usersync.CodeUnavailable}, {Status: 504, Body: "<html>", Code: usersync.CodeUnavailable},
}

// WantMeanings compares what a connector makes of answers with a table, and with what
// they mean everywhere.
func (p Platform) WantMeanings(t *testing.T, table []Meaning) {
	t.Helper()
	for _, want := range slices.Concat(everywhere, table) {
		t.Run(cmp.Or(want.Name, strconv.Itoa(want.Status)), func(t *testing.T) {
			t.Parallel()
			got := p.Kind.Classify(&outbound.Response{Status: want.Status, Header: want.Header, Body: []byte(want.Body)})
			if got == nil || want.Code == "" {
				if got != nil || want.Code != "" {
					t.Errorf("got %v, want %q", got, want.Code)
				}
				return
			}
			if got.Code != want.Code || got.RetryAfter != want.Wait || !strings.Contains(got.Message, want.Says) || strings.Contains(got.Message, "@") {
				t.Errorf("got %v after %v, want %s after %v saying %q", got, got.RetryAfter, want.Code, want.Wait, want.Says)
			}
		})
	}
}

// WantNamed fails unless an error has a code and names only this field.
func WantNamed(t testing.TB, what string, err error, code usersync.Code, field string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want %s for %s", what, code, field)
		return
	}
	e := usersync.AsError(err)
	if e.Code != code || len(e.Fields) != 1 || e.Fields[0].Field != field {
		t.Errorf("%s: got %v %+v, want %s for %s", what, e, e.Fields, code, field)
	}
}

// WantRefused opens a connection with each of the settings, and fails unless the field
// beside them is named.
func (a *Account) WantRefused(fields map[string]string) {
	a.Helper()
	for settings, field := range fields {
		_, err := a.Kind.Open(a.Config(settings), &connector.Client{HTTP: a.client})
		WantNamed(a, settings, err, usersync.CodeInvalid, field)
	}
}

// WantDisconnected checks a connection with each of the settings, and fails unless the
// field beside them is named.
func (a *Account) WantDisconnected(fields map[string]string) {
	a.Helper()
	for settings, field := range fields {
		_, err := a.Dial(settings, connector.Facts{}).Check(a.Context())
		WantNamed(a, settings, err, usersync.CodeDisconnected, field)
	}
}

// Want fails unless a result has this status and sentence.
func (a *Account) Want(r connector.Result, status connector.Status, details string) {
	a.Helper()
	if r.Status != status || r.Details != details {
		a.Errorf("got %s %q, %v, want %s %q", r.Status, r.Details, r.Err, status, details)
	}
}

// WantResent fails unless the person at a place is refused with these words and all
// others wait for a job.
func WantResent(t testing.TB, results []connector.Result, place int, said, job string) {
	t.Helper()
	for i, r := range results {
		switch {
		case i == place && (r.Status != connector.Failed || r.Err.Message != said):
			t.Errorf("who is to blame: %+v, want %q", r, said)
		case i != place && (r.Status != connector.Pending || r.Job != job):
			t.Errorf("person %d: %+v, want job %s", i, r, job)
		}
	}
}

// WantStatuses fails unless the results have these statuses, in their order.
func WantStatuses(t testing.TB, results []connector.Result, want ...connector.Status) {
	t.Helper()
	for i, r := range results {
		if r.Status != want[i] {
			t.Errorf("person %d: %+v, want %s", i, r, want[i])
		}
	}
}

// WantGone pushes people to a list that the platform does not have. That disconnects
// a connection whose check has seen the list, under its label. Otherwise only this
// push is rejected. Nobody arrives.
func (a *Account) WantGone(settings, label string, people ...connector.Profile) {
	a.Helper()
	for checked, want := range map[bool]usersync.Code{true: usersync.CodeDisconnected, false: usersync.CodeRejected} {
		facts := connector.Facts{}
		if checked {
			facts.Labels = map[string]string{label: "gone"}
		}
		results, err := a.Dial(settings, facts).Push(a.Context(), people)
		if err == nil && results[0].Err != nil {
			err = results[0].Err // of a person who is pushed alone and rejected
		}
		if usersync.CodeOf(err) != want || checked && !strings.Contains(err.Error(), "'gone'") || slices.ContainsFunc(results, arrived) {
			a.Errorf("%s, checked %v: %+v, %v, want %s", settings, checked, results, err, want)
		}
	}
}

// WantAudience checks names, finds an audience by a name that the platform has, makes one with a
// name that is new, and finds it again. It returns the id of the new one.
func (a *Account) WantAudience(c connector.Connector, known, id, fresh string) string {
	a.Helper()
	maker := c.(connector.AudienceMaker)
	for name, refused := range map[string]bool{known: false, fresh: false, " ": true} {
		if err := maker.CheckAudience(a.Context(), name); (err != nil) != refused {
			a.Errorf("%q, checked: %v, want a refusal %v", name, err, refused)
		}
	}
	found, patch, err := maker.MakeAudience(a.Context(), known, "")
	if err != nil || found != id || patch.List != id {
		a.Errorf("%s: %q, %+v, %v, want %s", known, found, patch, err, id)
	}
	made, patch, err := maker.MakeAudience(a.Context(), fresh, "for a test")
	if err != nil || made == "" || patch.List != made {
		a.Fatalf("%s: %q, %+v, %v", fresh, made, patch, err)
	}
	if again, _, err := maker.MakeAudience(a.Context(), fresh, ""); err != nil || again != made {
		a.Errorf("%s, made again: %q, %v, want %s", fresh, again, err, made)
	}
	return made
}
