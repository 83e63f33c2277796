package connectortest

import (
	"fmt"
	"slices"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/usersync"
)

// extraTag is a tag that no connection of a fake gives by itself. Copernica's fake has no
// other interest.
var extraTag = map[string]string{"copernica": "football"}

// leavesList takes one of two people off the connection's list, after a preview, and
// again, beside somebody whom nobody knows.
func leavesList(f *fixture) {
	l, ok := ability.LeaverOf(f.connector)
	listed, lists := f.Fake.(fakeplatform.Listed)
	if !ok || !lists || l.Belonging().Place == "" {
		f.Skip("there is no list that people can be taken off")
	}
	ada, grace := f.two()
	from := ability.Departure{List: true}
	f.wantForetold(ada, from, listed.OnList)
	f.wantLeft(l, from, ada, connector.Removed)
	if listed.OnList(ada.Email.Display()) || !listed.OnList(grace.Email.Display()) {
		f.Errorf("on the list: who left %v, the other %v", listed.OnList(ada.Email.Display()), listed.OnList(grace.Email.Display()))
	}
	f.wantLeft(l, from, ada, connector.Removed, connector.Skipped) // again
	f.Held(ada)
}

// leavesTags takes a tag from one of two people. All others stay.
func leavesTags(f *fixture) {
	tag := extraTag[f.Kind.Name]
	if tag == "" {
		tag = "vip"
	}
	l, ok := f.withTag(tag)
	if !ok {
		f.Skip("there are no tags that can be taken away")
	}
	ada, grace := f.two()
	before := f.Held(ada).Tags
	has := func(email string) bool {
		one, _ := f.Fake.People().Get(email)
		return slices.Contains(one.Tags, tag)
	}
	from := ability.Departure{Tags: []string{tag}}
	f.wantForetold(ada, from, has)
	f.wantLeft(l, from, ada, connector.Removed)
	f.wantLeft(l, from, ada, connector.Removed) // again
	kept := slices.DeleteFunc(slices.Clone(before), func(one string) bool { return one == tag })
	if got := f.Held(ada).Tags; !slices.Equal(got, kept) || !has(grace.Email.Display()) {
		f.Errorf("of the tags %v %v are left, want %v; the other has %v", before, got, kept, f.Held(grace).Tags)
	}
	if n := f.Fake.People().Len(); n != 2 {
		f.Errorf("there are %d people: %v", n, f.Fake.People().Emails())
	}
}

// withTag opens the connection with one more tag.
func (f *fixture) withTag(tag string) (ability.Leaver, bool) {
	f.Helper()
	values := fields(f, f.config.Settings)
	if fielded, ok := f.Fake.(fakeplatform.Fielded); ok {
		for name, value := range fielded.Fields().Tags {
			values[name] = value
		}
	}
	settings, err := f.Kind.Patch([]byte(JSON(f, values)), usersync.PlatformSync{Tags: []string{tag}})
	if err != nil {
		return nil, false
	}
	f.config.Settings = settings
	f.connector = f.open(f.config, f.client)
	if f.config.Facts, err = f.connector.Check(f.Context()); err != nil {
		f.Fatal(err)
	}
	f.connector = f.open(f.config, f.client)
	return ability.LeaverOf(f.connector)
}

// two brings two people who are there then.
func (f *fixture) two() (ada, grace connector.Profile) {
	f.Helper()
	ada, grace = Ada(f), Grace(f)
	f.bringOne(&ada)
	f.bringOne(&grace)
	return ada, grace
}

// wantForetold fails unless a preview changes nothing and says what would be done.
func (f *fixture) wantForetold(p connector.Profile, from ability.Departure, is func(email string) bool) {
	f.Helper()
	before := fmt.Sprint(f.Held(p))
	r, err := ability.ForetellLeave(f.Context(), f.connector, p, from)
	f.clean(err, r)
	if err != nil || r.Status != connector.Removed || !strings.Contains(r.Details, "would be") {
		f.Errorf("the preview says %+v, %v", r, err)
	}
	if !is(p.Email.Display()) || fmt.Sprint(f.Held(p)) != before {
		f.Errorf("the preview made %+v of %s", f.Held(p), before)
	}
	stranger := Person(f, "nobody@"+domain, "No", "Body")
	if r, err = ability.ForetellLeave(f.Context(), f.connector, stranger, from); err != nil || r.Details == "" {
		f.Errorf("of nobody the preview says %+v, %v", r, err)
	}
}

// wantLeft takes somebody off, beside somebody who is nobody there.
func (f *fixture) wantLeft(l ability.Leaver, from ability.Departure, p connector.Profile, want ...connector.Status) {
	f.Helper()
	people := []connector.Profile{Person(f, "nobody@"+domain, "No", "Body"), p}
	results, err := l.Leave(f.Context(), people, from)
	f.clean(err, results)
	if err != nil || len(results) != 2 {
		f.Fatalf("%d results, %v", len(results), err)
	}
	f.sound(people, results)
	if r := results[1]; !slices.Contains(want, r.Status) || strings.Contains(r.Details, "would") {
		f.Errorf("got %+v, want %v", r, want)
	}
	if r := results[0]; r.Status != connector.Removed && r.Reason != ability.ReasonNoContact {
		f.Errorf("of nobody it says %+v", r)
	}
}
