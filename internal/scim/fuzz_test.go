package scim_test

import (
	"testing"

	"usersync/internal/scim"
)

// FuzzFilter checks that a filter is refused with invalidFilter, or decides about a
// resource, and about one that it says to look up by.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{`userName eq "a"`, `emails[type eq "work"].value eq "a\"b"`, `not (active eq true) or meta.created gt "2026-01-01T00:00:00Z"`,
		`members[value eq "x"]`, scim.EnterpriseUser + `:manager eq "m"`, `((title pr))`, `].`, `a[b].c`, `title eq "\u0000"`, `title eq 1e9`} {
		f.Add(seed, ann)
	}
	f.Fuzz(func(t *testing.T, filter, body string) {
		for _, of := range scim.Types() {
			parsed, err := of.ParseFilter(filter)
			if err != nil {
				if faultOf(err) != "invalidFilter" {
					t.Fatal(err)
				}
				continue
			}
			if r, err := of.Parse([]byte(body)); err == nil {
				parsed.Matches(r)
			}
			for _, term := range parsed.Terms() {
				if term.Name == "" {
					t.Fatalf("%q wants an attribute without a name", filter)
				}
			}
		}
	})
}

// FuzzPatch checks that a PATCH is refused with a fault, or leads to a resource that can be
// read again as it is.
func FuzzPatch(f *testing.F) {
	for _, seed := range []string{`{"Operations":[{"op":"Replace","path":"emails[type eq \"work\"].value","value":"x"}]}`,
		`{"Operations":[{"op":"add","value":{"name.givenName":"B","active":"False"}}]}`, `{"Operations":[{"op":"remove","path":"emails[not (type eq \"x\")]"}]}`,
		`{"Operations":[{"op":"add","path":"` + scim.EnterpriseUser + `:manager","value":"x"}]}`, `{"Operations":[{"op":"replace","path":"emails.primary","value":true}]}`,
		`{"operations":[{"op":"remove","path":"members","value":[{"value":"a"}]}]}`, `{"Operations":[{"op":"add","value":{"":1,".":2,"[":3,"emails[]":4}}]}`} {
		f.Add(ann, seed)
	}
	f.Fuzz(func(t *testing.T, body, patch string) {
		operations, err := scim.ParsePatch([]byte(patch))
		if err != nil {
			if faultOf(err) != "invalidSyntax" {
				t.Fatal(err)
			}
			return
		}
		for _, of := range scim.Types() {
			r, err := of.Parse([]byte(body))
			if err != nil {
				continue
			}
			before := text(r)
			after, err := of.Patch(r, operations)
			if text(r) != before {
				t.Fatal("the resource was changed")
			}
			if err != nil {
				if fault := faultOf(err); len(fault) > 20 {
					t.Fatal(err)
				}
				continue
			}
			again, err := of.Parse([]byte(text(after)))
			if err != nil || text(again) != text(after) {
				t.Fatalf("%s is read as %s: %v", text(after), text(again), err)
			}
		}
	})
}
