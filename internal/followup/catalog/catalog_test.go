package catalog_test

import (
	"database/sql"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"usersync/internal/followup"
	"usersync/internal/followup/catalog"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// definition tags whoever is from a country.
func definition(t *testing.T, name, country string) followup.Definition {
	t.Helper()
	var d followup.Definition
	text := `{"name":"` + name + `","trigger":{"type":"user/update"},"condition":{"field":"profile.country","equals":"` + country + `"},"overlap":"all","actions":[{"type":"add-tag","tags":["` + country + `"]}]}`
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	if _, err := followup.Compile(d); err != nil {
		t.Fatal(err)
	}
	return d
}

func create(t *testing.T, o *store.Org, name, country string) catalog.FollowUp {
	t.Helper()
	f, err := catalog.Create(t.Context(), o, "test", definition(t, name, country), catalog.Active)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// change gives a follow-up another country.
func change(t *testing.T, o *store.Org, id, country string) catalog.FollowUp {
	t.Helper()
	f, err := catalog.Change(t.Context(), o, "test", "follow_up.update", id, func(f *catalog.FollowUp) ([]string, error) {
		f.Definition = definition(t, f.Name, country)
		return []string{"condition", "actions"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// as is a definition as JSON.
func as(t *testing.T, d followup.Definition) string {
	t.Helper()
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestEveryDefinitionIsKeptUnderItsVersion(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		o := n.Org(n.Organization.ID)
		f := create(t, o, "a", "NL")
		if f.Version != 1 || f.Status != catalog.Active || !strings.HasPrefix(f.ID, "fup_") || as(t, f.Definition) != as(t, definition(t, "a", "NL")) {
			t.Errorf("%+v", f)
		}
		changed := change(t, o, f.ID, "BE")
		if again := change(t, o, f.ID, "BE"); changed.Version != 2 || again.Version != 2 {
			t.Errorf("versions %d and %d, want 2 and 2", changed.Version, again.Version)
		}
		kept, err := catalog.Get(t.Context(), o, f.ID)
		if err != nil || kept.Version != 2 || as(t, kept.Definition) != as(t, definition(t, "a", "BE")) {
			t.Errorf("%+v, %v", kept, err)
		}
		versions, err := catalog.Versions(t.Context(), o, f.ID)
		if err != nil || len(versions) != 2 || versions[0].Version != 2 || as(t, versions[1].Definition) != as(t, definition(t, "a", "NL")) || versions[1].Actor != "test" {
			t.Errorf("%+v, %v", versions, err)
		}
		for version, country := range map[int64]string{1: "NL", 2: "BE"} {
			p, err := new(catalog.Programs).Get(t.Context(), o.Reader(), o.ID(), f.ID, version)
			if err != nil || as(t, p.Definition) != as(t, definition(t, "a", country)) {
				t.Errorf("version %d: %v", version, err)
			}
		}
		if err := catalog.Delete(t.Context(), o, "test", f.ID); err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"get":     second(catalog.Get(t.Context(), o, f.ID)),
			"delete":  catalog.Delete(t.Context(), o, "test", f.ID),
			"program": second(new(catalog.Programs).Get(t.Context(), o.Reader(), o.ID(), f.ID, 1)),
		} {
			if usersync.CodeOf(err) != usersync.CodeNotFound {
				t.Errorf("%s: %v", what, err)
			}
		}
		if got := roomtest.Count(t, db, `SELECT count(*) FROM follow_up_versions`); got != 0 {
			t.Errorf("%d versions are left", got)
		}
		if got := roomtest.Count(t, db, `SELECT count(*) FROM audit WHERE action LIKE 'follow_up.%' AND actor = 'test'`); got != 4 {
			t.Errorf("%d lines in the audit log, want 4", got)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestOnlyTheNewestVersionsAreKept(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		o := n.Org(n.Organization.ID)
		f := create(t, o, "a", "NL")
		roomtest.Execute(t, db, `UPDATE follow_ups SET version = 150`)
		roomtest.Execute(t, db, `UPDATE follow_up_versions SET version = 51`)
		change(t, o, f.ID, "BE") // 151: 51 goes, 52 would stay
		versions, err := catalog.Versions(t.Context(), o, f.ID)
		if err != nil || len(versions) != 1 || versions[0].Version != 151 {
			t.Errorf("%+v, %v", versions, err)
		}
	})
}

func TestOnlyActiveFollowUpsOfTheOrganizationAreAsked(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		o := n.Org(n.Organization.ID)
		roomtest.Execute(t, db, `INSERT INTO organizations (id, name, status, salt, created_at, updated_at) VALUES ('org_other', 'x', 'active', '', 1, 1)`)
		other := n.Org("org_other")
		version := func() int {
			return roomtest.Count(t, db, `SELECT `+catalog.VersionText+` FROM organizations o WHERE o.id = '`+o.ID()+`'`)
		}
		if version() != 0 {
			t.Errorf("the version is %d without follow-ups", version())
		}
		first, paused, last := create(t, o, "first", "NL"), create(t, o, "paused", "NL"), create(t, o, "last", "BE")
		create(t, other, "other's", "NL")
		if version() != 3 {
			t.Errorf("the version is %d, want 3", version())
		}
		_, err := catalog.Change(t.Context(), o, "test", "follow_up.pause", paused.ID, func(f *catalog.FollowUp) ([]string, error) {
			f.Status = catalog.Paused
			return []string{"status"}, nil
		})
		if err != nil || version() != 4 {
			t.Errorf("the version is %d, want 4: %v", version(), err)
		}
		active, err := catalog.ActiveOf(t.Context(), o.Reader(), o.ID())
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		subject := followup.NewSubject(map[string]any{"profile": map[string]any{"country": "BE"}})
		for _, e := range active[followup.UserUpdate] {
			ids = append(ids, e.ID)
			if yes, why := e.Matches(subject); yes != (e.ID == last.ID) || e.Version != 1 || e.Name == "" {
				t.Errorf("%s: %v %s", e.Name, yes, why)
			}
		}
		if !slices.Equal(ids, []string{first.ID, last.ID}) || len(active) != 1 {
			t.Errorf("%v are active", ids)
		}
		for what, err := range map[string]error{
			"get":      second(catalog.Get(t.Context(), other, first.ID)),
			"versions": second(catalog.Versions(t.Context(), other, first.ID)),
			"delete":   catalog.Delete(t.Context(), other, "test", first.ID),
			"program":  second(new(catalog.Programs).Get(t.Context(), other.Reader(), other.ID(), first.ID, 1)),
			"change":   second(catalog.Change(t.Context(), other, "test", "x", first.ID, func(*catalog.FollowUp) ([]string, error) { return []string{"x"}, nil })),
		} {
			if usersync.CodeOf(err) != usersync.CodeNotFound {
				t.Errorf("%s of another's follow-up: %v", what, err)
			}
		}
		if list, err := catalog.List(t.Context(), other, "", 10); err != nil || len(list) != 1 {
			t.Errorf("%d, %v", len(list), err)
		}
	})
}

func TestNoMoreFollowUpsAreMadeThanTheLimitSays(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		o := n.Org(n.Organization.ID)
		roomtest.Execute(t, db, `UPDATE organizations SET settings = '{"limits":{"followUps":2}}'`)
		create(t, o, "a", "NL")
		create(t, o, "b", "NL")
		_, err := catalog.Create(t.Context(), o, "test", definition(t, "c", "NL"), catalog.Active)
		if usersync.CodeOf(err) != usersync.CodeConflict || !strings.Contains(err.Error(), "limits.followUps") {
			t.Errorf("%v", err)
		}
		long := definition(t, "d", "NL")
		for range 64 {
			long.Actions = append(long.Actions, followup.Action{Type: followup.AddTag, Tags: []string{strings.Repeat("x", 1024)}})
		}
		if _, err := catalog.Create(t.Context(), o, "test", long, catalog.Active); usersync.CodeOf(err) != usersync.CodeInvalid {
			t.Errorf("%v", err)
		}
	})
}

// webhook is a follow-up that calls an address with a token.
func webhook(t *testing.T, name, address, token string) followup.Definition {
	t.Helper()
	d := definition(t, name, "NL")
	d.Actions = append(d.Actions, followup.Action{
		Type: followup.Branch, If: &followup.Condition{Field: "type", IsSet: new(true)},
		Then: []followup.Action{{Type: followup.SendWebhook, Method: "POST", URL: address, Headers: map[string]string{"X-Token": token, "Content-Type": "text/plain"}}},
	})
	if _, err := followup.Compile(d); err != nil {
		t.Fatal(err)
	}
	return d
}

// becomes gives a follow-up another definition.
func becomes(t *testing.T, o *store.Org, id string, d followup.Definition) (catalog.FollowUp, error) {
	t.Helper()
	return catalog.Change(t.Context(), o, "test", "follow_up.update", id, func(f *catalog.FollowUp) ([]string, error) {
		f.Definition = d
		return []string{"actions"}, nil
	})
}

func TestHeadersAreSealedAndNeverShownAndForTheirAddressAlone(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		o := n.Org(n.Organization.ID)
		const here, there, place = "https://crm.example.com/{{.profile.userId}}", "https://other.example.com/", "actions[1].then[0]"
		values := func(f catalog.FollowUp, address string) map[string]string {
			t.Helper()
			got, err := catalog.HeadersOf(t.Context(), o, f.ID, f.Version, place, address)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		f, err := catalog.Create(t.Context(), o, "test", webhook(t, "a", here, "needle-one"), catalog.Active)
		if err != nil {
			t.Fatal(err)
		}
		if shown := f.Actions[1].Then[0].Headers; shown["X-Token"] != followup.Hidden || shown["Content-Type"] != "text/plain" {
			t.Errorf("%v is shown", shown)
		}
		if got := values(f, here); len(got) != 1 || got["X-Token"] != "needle-one" {
			t.Errorf("%v", got)
		}
		if got := values(f, there); got != nil {
			t.Errorf("another address has %v", got)
		}

		same, err := becomes(t, o, f.ID, webhook(t, "a", here, followup.Hidden))
		if err != nil || same.Version != 1 {
			t.Errorf("what is sent back as it is shown makes version %d, %v", same.Version, err)
		}
		renamed, err := becomes(t, o, f.ID, webhook(t, "b", here, followup.Hidden))
		if err != nil || renamed.Version != 2 || values(renamed, here)["X-Token"] != "needle-one" || values(f, here)["X-Token"] != "needle-one" {
			t.Errorf("%+v, %v", renamed, err)
		}
		renewed, err := becomes(t, o, f.ID, webhook(t, "b", here, "needle-two"))
		if err != nil || renewed.Version != 3 || values(renewed, here)["X-Token"] != "needle-two" {
			t.Errorf("%+v, %v", renewed, err)
		}
		_, err = becomes(t, o, f.ID, webhook(t, "b", there, followup.Hidden))
		if fields := usersync.AsError(err).Fields; len(fields) != 1 || fields[0].Field != place+".headers.X-Token" {
			t.Errorf("a hidden value for another address: %v", err)
		}
		if _, err = catalog.Create(t.Context(), o, "test", webhook(t, "c", here, followup.Hidden), catalog.Active); usersync.CodeOf(err) != usersync.CodeInvalid {
			t.Errorf("a hidden value of nothing: %v", err)
		}

		put, err := catalog.Put(t.Context(), o, "test", []catalog.FollowUp{{Definition: webhook(t, "b", here, followup.Hidden), Status: catalog.Active}})
		if err != nil || put[0].Outcome != catalog.Unchanged {
			t.Errorf("an import of the export: %+v, %v", put, err)
		}
		_, err = catalog.Put(t.Context(), o, "test", []catalog.FollowUp{{Definition: webhook(t, "d", here, followup.Hidden), Status: catalog.Active}})
		if fields := usersync.AsError(err).Fields; len(fields) != 1 || fields[0].Field != "followUps[0]."+place+".headers.X-Token" {
			t.Errorf("an import of a hidden value of nothing: %v", err)
		}

		for where, text := range roomtest.Texts(t, db) {
			if strings.Contains(text, "needle") {
				t.Errorf("%s shows the value", where)
			}
		}
		if err := catalog.Delete(t.Context(), o, "test", f.ID); err != nil {
			t.Fatal(err)
		}
		if got := roomtest.Count(t, db, `SELECT count(*) FROM follow_up_headers`); got != 0 {
			t.Errorf("%d sealed values are left", got)
		}
	})
}

func TestAProgramIsReadOnceForEachVersion(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		o := n.Org(n.Organization.ID)
		f := create(t, o, "a", "NL")
		var known catalog.Programs
		first, err := known.Get(t.Context(), o.Reader(), o.ID(), f.ID, 1)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := known.Get(t.Context(), o.Reader(), o.ID(), f.ID, 1); again != first || err != nil {
			t.Errorf("it was read again: %v", err)
		}
		other := roomtest.New(t, s, 1)
		if _, err := known.Get(t.Context(), o.Reader(), other.Organization.ID, f.ID, 1); usersync.CodeOf(err) != usersync.CodeNotFound {
			t.Errorf("another organization: %v", err)
		}
		change(t, o, f.ID, "BE")
		if second, err := known.Get(t.Context(), o.Reader(), o.ID(), f.ID, 2); err != nil || second == first {
			t.Errorf("another version: %v", err)
		}
	})
}
