package action_test

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"usersync/internal/followup"
	"usersync/internal/mail/mailtest"
	"usersync/internal/reaction"
	"usersync/internal/usersync"
)

// operators have for each operator a comparison, and values of an attribute of the event for
// which it holds and does not.
var operators = map[string]struct {
	with    string
	yes, no any
}{
	"equals":      {`"NL"`, "NL", "nl"},
	"notEquals":   {`"NL"`, "BE", "NL"},
	"contains":    {`"b"`, []any{"a", "b"}, "a"},
	"notContains": {`"b"`, "a", "abc"},
	"less":        {`10`, "9.5", "10"},
	"more":        {`"2026-11-22"`, "2026-11-22T00:00:01Z", "2026-11-21"},
	"isSet":       {`true`, "x", ""},
	"matches":     {`"^[0-9]{4} ?[A-Z]{2}$"`, "1012 JS", "1012"},
	"isEmail":     {`true`, "ann@example.com", "ann"},
	"isNumeric":   {`true`, "12.50", "0612345678"},
}

// An operator decides what an event sets off, of the event's attributes and of the user's.
func TestEveryOperatorDecidesWhatAnEventSetsOff(t *testing.T) {
	t.Parallel()
	shape := reflect.TypeFor[followup.Condition]()
	for i := range shape.NumField() {
		name, _, _ := strings.Cut(shape.Field(i).Tag.Get("json"), ",")
		if _, tried := operators[name]; !tried && !slices.Contains([]string{"all", "any", "not", "field"}, name) {
			t.Errorf("%s is not tried", name)
		}
	}
	eachDesk(t, func(t *testing.T, d *desk) {
		for name, o := range operators {
			kind := followup.CustomPrefix + strings.ToLower(name)
			for _, field := range []string{"attributes.value", "profile.attributes.value"} {
				d.followUp(fmt.Sprintf(`{"name":"%s of %s","trigger":{"type":"%s"},"condition":{"field":"%s","%s":%s},"actions":[{"type":"add-tag","tags":["t"]}]}`,
					name, field, kind, field, name, o.with))
			}
			for want, value := range map[int]any{2: o.yes, 0: o.no} {
				said := map[string]any{"value": value}
				id := d.report(followup.EventType(kind), fmt.Sprintf("%s%d@example.com", strings.ToLower(name), want), said)
				d.work()
				if s := d.story(id); len(s.Runs) != want || len(s.Unmatched) != 2-want {
					t.Errorf("%s %s of %v: %d set off, and not %v; want %d", name, o.with, value, len(s.Runs), s.Unmatched, want)
				}
			}
		}
	})
}

// all, any and not are asked too, and within one another.
func TestConditionsNest(t *testing.T) {
	t.Parallel()
	eachDesk(t, func(t *testing.T, d *desk) {
		d.followUp(`{"name":"n","trigger":{"type":"user/update"},"condition":{"all":[{"any":[{"field":"attributes.a","equals":1},{"field":"attributes.b","equals":1}]},
			{"not":{"field":"attributes.c","isSet":true}}]},"actions":[{"type":"add-tag","tags":["t"]}]}`)
		for i, c := range []struct {
			said map[string]any
			want int
		}{
			{map[string]any{"a": "1"}, 1}, {map[string]any{"b": "1"}, 1}, {map[string]any{"a": "2"}, 0}, {map[string]any{"a": "1", "c": "x"}, 0},
		} {
			id := d.report(followup.UserUpdate, fmt.Sprintf("u%d@example.com", i), c.said)
			d.work()
			if s := d.story(id); len(s.Runs) != c.want {
				t.Errorf("%v: %+v", c.said, s)
			}
		}
	})
}

// One follow-up does every action there is.
func TestEveryActionIsDone(t *testing.T) {
	t.Parallel()
	eachDesk(t, func(t *testing.T, d *desk) {
		h, server := newHook(t, http.StatusOK), mailtest.Start(t, mailtest.WithoutTLS)
		settings := server.Settings()
		settings.Host, settings.Username, settings.Password = "127.0.0.1", "", usersync.MaskedSecret{}
		d.invite(settings, "bob@example.com")
		d.followUp(`{"name":"all","trigger":{"type":"user/register"},"actions":[
			{"type":"update-user","set":{"firstName":"Ann"}},{"type":"add-tag","tags":["a","b"]},{"type":"remove-tag","tags":["b"]},
			{"type":"sync-to-platforms"},{"type":"remove-from-platforms"},{"type":"unsubscribe","channel":"sms"},
			{"type":"send-webhook","method":"PUT","url":"` + h.URL + `"},{"type":"trigger-event","event":"custom/done"},
			{"type":"find-colleagues"},{"type":"send-invitation"},
			{"type":"branch","if":{"field":"profile.tags","contains":"a"},"then":[{"type":"wait","for":"1h"}]}]}`)
		id := d.report(followup.UserRegister, ann, nil)
		d.work()
		d.pass()
		run := d.story(id).Runs[0]
		if run.Status != reaction.Succeeded {
			t.Fatalf("%+v", run)
		}
		done := map[followup.ActionType]bool{}
		for _, a := range run.Actions {
			if done[a.Type] = true; a.Status != reaction.DeedDone {
				t.Errorf("%+v", a)
			}
		}
		for _, kind := range followup.ActionTypes {
			if !done[kind] {
				t.Errorf("%s is not tried", kind)
			}
		}
		if n := len(server.Letters()); n != 1 {
			t.Errorf("%d letters", n)
		}
	})
}

// What is about a user is refused for an event that is about nobody, and the story says so.
func TestAnEventAboutNobodyHasNoActionsOnAUser(t *testing.T) {
	t.Parallel()
	eachDesk(t, func(t *testing.T, d *desk) {
		kinds := map[string]string{
			"update-user": `,"set":{"firstName":"A"}`, "add-tag": `,"tags":["t"]`, "remove-tag": `,"tags":["t"]`, "sync-to-platforms": "",
			"remove-from-platforms": "", "unsubscribe": "", "find-colleagues": "", "send-invitation": "",
		}
		for kind, rest := range kinds {
			d.followUp(fmt.Sprintf(`{"name":"%s","trigger":{"type":"webshop/cart/add"},"actions":[{"type":"%s"%s}]}`, kind, kind, rest))
		}
		id := d.nobody(followup.WebshopCartAdd)
		d.work()
		s := d.story(id)
		if len(s.Runs) != len(kinds) {
			t.Fatalf("%+v", s)
		}
		for _, r := range s.Runs {
			if r.Status != reaction.Failed || r.Error != "actions[0]: The event is about nobody." {
				t.Errorf("%s: %+v", r.Name, r)
			}
		}
	})
}
