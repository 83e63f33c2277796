package connectortest

import (
	"encoding/json"
	"fmt"
	"testing"

	"usersync/internal/connector"
	"usersync/internal/identity"
	"usersync/internal/usersync"
)

// domain is the domain of the suite's addresses. It is not example.com or the like,
// because some platforms refuse those.
const domain = "analytical-engine.example"

// Person returns a profile with an address.
func Person(t testing.TB, address, first, last string) connector.Profile {
	t.Helper()
	email, err := identity.ParseEmail(address)
	if err != nil {
		t.Fatal(err)
	}
	return connector.Profile{
		UserID: usersync.NewID(usersync.PrefixUser), Email: email, FirstName: first, LastName: last, Name: first + " " + last, Country: "GB",
		JobTitle: "Analyst", InviteLink: "https://example.com/invite/1",
	}
}

// Ada is the person of the tests.
func Ada(t testing.TB) connector.Profile {
	t.Helper()
	return Person(t, "ada@"+domain, "Ada", "Lovelace")
}

// Grace is another person.
func Grace(t testing.TB) connector.Profile {
	t.Helper()
	return Person(t, "grace@"+domain, "Grace", "Hopper")
}

// People returns n people.
func People(t testing.TB, n int) []connector.Profile {
	t.Helper()
	out := make([]connector.Profile, n)
	for i := range out {
		out[i] = Person(t, fmt.Sprintf("person-%d@%s", i, domain), "Grace", "Hopper")
	}
	return out
}

// Values are the people as they are now.
func Values(people []*connector.Profile) []connector.Profile {
	out := make([]connector.Profile, len(people))
	for i, p := range people {
		out[i] = *p
	}
	return out
}

// Pointers are the people themselves, for Bring.
func Pointers(people []connector.Profile) []*connector.Profile {
	out := make([]*connector.Profile, len(people))
	for i := range people {
		out[i] = &people[i]
	}
	return out
}

// JSON returns a value as JSON.
func JSON(t testing.TB, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
