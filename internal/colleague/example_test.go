package colleague_test

import (
	"context"
	"fmt"

	"usersync/internal/colleague"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// phoneBook is a source of colleagues: it answers every query with all it knows. The
// search leaves out who is no colleague.
type phoneBook []colleague.Candidate

// Name is one that organizations have switched on from the start.
func (phoneBook) Name() string { return tenant.SourceDirectory }

// Find gives an answer for each query.
func (b phoneBook) Find(_ context.Context, ask colleague.Ask) ([]colleague.Answer, error) {
	answers := make([]colleague.Answer, len(ask.Queries))
	for i := range answers {
		answers[i].People = b
	}
	return answers, nil
}

// The search asks its sources once for all targets and ranks what they know.
func ExampleSearch_Run() {
	address := func(local string) usersync.Email {
		text := local + "@acme.example.com"
		return usersync.NewEmail(text, text)
	}
	book := phoneBook{
		{Email: address("paul.weber"), Name: "Paul Weber", JobTitle: "Vertriebsleiter", Country: "DE", Department: "sales", Seniority: 4},
		{Email: address("grace.lee"), Name: "Grace Lee", JobTitle: "Software Engineer", Country: "US", Department: "engineering", Seniority: 2},
		{Email: address("info"), Name: "Acme", Country: "US"}, // a role, not a person
		{Email: address("john.doe"), Name: "John Doe", JobTitle: "Software Engineer", Country: "US", Department: "engineering", Seniority: 2},
	}
	search := colleague.Search{Own: []colleague.Source{book}}
	john := colleague.Target{Email: address("john.doe"), Name: "John Doe", Country: "US", JobTitle: "Software Engineer"}

	results, err := search.Run(context.Background(), nil, tenant.Settings{}, []colleague.Target{john})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, match := range results[0].Found {
		fmt.Println(match.Name, match.Score, match.Reasons)
	}
	// Output:
	// Grace Lee 0.95 [same_company same_country same_department near_seniority known_profile]
	// Paul Weber 0.37 [same_company known_profile]
}
