package native

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"unicode/utf8"

	"usersync/internal/api"
	"usersync/internal/usersync"
)

// FuzzUserSyncStaysAsItIs checks that a user that is taken is within the bounds,
// and reads back as the same user when it is written down as it was taken.
func FuzzUserSyncStaysAsItIs(f *testing.F) {
	for _, seed := range []string{
		john, `{"user":{"email":"J@Example.com","country":"deutschland","attributes":{"a":1e21,"b":true,"ä":"\ud83d\ude00"}}}`,
		`{"user":{"email":"a@b.example","country":"US","name":null},"user":{"country":"FR"}}`, `{"user":{"email":"a@b.example","country":"US","attributes":{"":1}}}`,
		`{"user":{"email":"a@b.example","country":"US","attributes":{"a":-0.0,"a":2}}}`,
		`{"user":{"email":"a@b.example","country":"US","name":"","firstName":"","firstName":"A","attributes":{"a":null,"b":"","c":9007199254740993}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		user, err := taken(body)
		if err != nil {
			return
		}
		for _, text := range []string{user.FirstName, user.LastName, user.Name, user.JobTitle} {
			if utf8.RuneCountInString(text) > maxField || !utf8.ValidString(text) {
				t.Fatalf("%q is taken as %+v", body, user)
			}
		}
		if len(user.Country) != 2 || len(user.Attributes) > maxAttributes || utf8.RuneCountInString(user.InviteLink) > maxLink {
			t.Fatalf("%q is taken as %+v", body, user)
		}
		out := map[string]any{"email": user.Email.Display(), "country": user.Country, "attributes": user.Attributes}
		for field, text := range map[usersync.Field]string{
			usersync.FieldFirstName: user.FirstName, usersync.FieldLastName: user.LastName, usersync.FieldName: user.Name,
			usersync.FieldJobTitle: user.JobTitle, usersync.FieldInviteLink: user.InviteLink,
		} {
			if text != "" || user.Clears(field) {
				out[string(field)] = text
			}
		}
		written, err := json.Marshal(map[string]any{"user": out})
		if err != nil {
			t.Fatal(err)
		}
		again, err := taken(written)
		if err != nil {
			t.Fatalf("%q is taken, and as %s refused: %v", body, written, err)
		}
		if again.Email.Key() != user.Email.Key() || len(again.Attributes) != len(user.Attributes) || !reflect.DeepEqual(strip(again), strip(user)) {
			t.Fatalf("%q reads as %+v and then as %+v", body, user, again)
		}
	})
}

func taken(body []byte) (usersync.UserInput, error) {
	sent, err := readUserBody(body)
	if err != nil {
		return usersync.UserInput{}, err
	}
	return sent.check()
}

// strip leaves out what was compared apart.
func strip(u usersync.UserInput) usersync.UserInput {
	u.Email = usersync.Email{}
	if len(u.Attributes) == 0 {
		u.Attributes = nil
	}
	// What is set at last is not cleared, whatever was said before.
	u.Cleared = slices.DeleteFunc(u.Cleared, func(f usersync.Field) bool {
		return f == usersync.FieldFirstName && u.FirstName != "" || f == usersync.FieldLastName && u.LastName != "" ||
			f == usersync.FieldName && u.Name != "" || f == usersync.FieldJobTitle && u.JobTitle != "" ||
			f == usersync.FieldInviteLink && u.InviteLink != ""
	})
	slices.Sort(u.Cleared)
	if len(u.Cleared) == 0 {
		u.Cleared = nil
	}
	return u
}

// FuzzBatchBody checks that every user of a list is either accepted at their own
// place or refused with a reason, and that one user's fault is never another's.
func FuzzBatchBody(f *testing.F) {
	for _, seed := range []string{
		`{"users":[{"email":"a@b.example","country":"US"},{"email":"x"},5,null,[]]}`, `{"users":[]}`, `{"users":{}}`, `{}`, `[]`,
		`{"users":[{"email":"a@b.example","country":"US"}],"users":[{"email":1}]}`, `{"users":[{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		b, err := readBatch(&api.Call{}, body)
		if err != nil {
			if usersync.CodeOf(err) != usersync.CodeInvalid {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if b.size < 1 || b.size > maxBatch || len(b.items)+len(b.refused) != b.size {
			t.Fatalf("%q: %d users, %d accepted, %d refused", body, b.size, len(b.items), len(b.refused))
		}
		for i, r := range b.results(b.items, b.refused) {
			if (r.RequestID == "") == (r.Error == "") {
				t.Fatalf("%q: user %d got %+v", body, i, r)
			}
		}
	})
}

// FuzzColleagueBodies checks the bodies on colleagues: no text beyond its bound,
// no number that a client would read back as another.
func FuzzColleagueBodies(f *testing.F) {
	for _, seed := range []string{
		`{"name":"Ann","email":"ann@b.example","toBeInvitedById":"user_1","team":7}`, `{"team":9007199254740993}`, `{"team":1.5}`, `{"team":-0}`,
		`{"id":"tbi_1","status":"joined"}`, `{"id":null}`, `{"colleagueId":"x"}`, `[`, ``, `{"team":1e300}`, `{"team":9.3e18}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		in, err := readColleague(body)
		if err == nil && (utf8.RuneCountInString(in.Name) > maxField || utf8.RuneCountInString(in.Website) > maxLink || in.Team > maxTeam || in.Team < -maxTeam) {
			t.Fatalf("%q is taken as %+v", body, in)
		}
		_, changed := readColleagueChange(body)
		for _, err := range []error{err, changed} {
			if err != nil && usersync.CodeOf(err) != usersync.CodeInvalid {
				t.Fatalf("%q: %v", body, err)
			}
		}
	})
}
