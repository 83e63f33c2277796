package directory

import (
	"context"
	"maps"
	"slices"

	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// Person is a person of an organization's imported directory.
type Person struct {
	Email       usersync.Email
	Name        string
	JobTitle    string
	Country     string
	CompanyName string
	Website     string
	Photo       string
	user.Identity
}

var savePeopleStatement = store.Define("directory.savePeople", `
INSERT INTO people (id, organization_id, email_key, email, person_key, company, country, department, seniority, name, job_title,
    company_name, website, photo, created_at, updated_at)
SELECT r.id, $1, r.email_key, r.email, r.person_key, r.company, r.country, r.department, r.seniority, r.name, r.job_title,
    r.company_name, r.website, r.photo, {now}, {now}
FROM {rows} WHERE true
ON CONFLICT (organization_id, email_key) DO UPDATE SET email = excluded.email, company = excluded.company, country = excluded.country,
    department = excluded.department, seniority = excluded.seniority, name = excluded.name, job_title = excluded.job_title,
    company_name = excluded.company_name, website = excluded.website, photo = excluded.photo, updated_at = excluded.updated_at
WHERE people.email <> excluded.email OR people.company <> excluded.company OR people.country <> excluded.country
    OR people.department <> excluded.department OR people.seniority <> excluded.seniority OR people.name <> excluded.name
    OR people.job_title <> excluded.job_title OR people.company_name <> excluded.company_name OR people.website <> excluded.website
    OR people.photo <> excluded.photo`,
	store.Col("id", store.Text), store.Col("email_key", store.Text), store.Col("email", store.Text), store.Col("person_key", store.Text), store.Col("company", store.Text), store.Col("country", store.Text),
	store.Col("department", store.Text), store.Col("seniority", store.Bigint), store.Col("name", store.Text), store.Col("job_title", store.Text), store.Col("company_name", store.Text),
	store.Col("website", store.Text), store.Col("photo", store.Text))

// SavePeople adds people to the organization's directory, or brings those that
// are there up to date. Of several with one address the last counts.
func SavePeople(ctx context.Context, o *store.Org, salt []byte, people []Person) error {
	return o.Tx(ctx, func(tx *store.Tx) error { return savePeople(ctx, tx, o.ID(), salt, people) })
}

func savePeople(ctx context.Context, tx *store.Tx, organization string, salt []byte, people []Person) error {
	if len(people) == 0 {
		return nil
	}
	set := savePeopleStatement.Rows(len(people))
	for _, p := range lastOfEach(people) {
		set.Add(usersync.KeyedID(usersync.PrefixPerson, salt, p.Email.Key()), p.Email.Key(), p.Email.Display(), p.Key, p.Company,
			p.Country, p.Department, int64(p.Seniority), p.Name, p.JobTitle, p.CompanyName, p.Website, p.Photo)
	}
	return tx.Later(ctx, savePeopleStatement, set, nil, organization)
}

// lastOfEach returns the last person of each address, sorted by address. With one order
// two transactions that save the same people wait for each other and cannot deadlock.
func lastOfEach(people []Person) []Person {
	byKey := make(map[string]int, len(people))
	for i, p := range people {
		byKey[p.Email.Key()] = i
	}
	out := make([]Person, 0, len(byKey))
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		out = append(out, people[byKey[key]])
	}
	return out
}
