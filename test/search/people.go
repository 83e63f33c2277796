//go:build unix

package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	"usersync/internal/directory"
	"usersync/internal/identity"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// atOnce is how many people one statement stores.
const atOnce = 5_000

// bigCompany has a tenth of the large organization's people; companySize have
// the others.
const (
	bigCompany  = "big.example"
	companySize = 90
)

// Countries and titles as they are spread in a large company: a few have most.
var (
	countries = []string{"US", "US", "US", "US", "US", "US", "DE", "DE", "DE", "GB", "GB", "FR", "IN", "IN", "JP", "BR", "NL", "ES", "IT", "PL"}
	rare      = []string{"NO", "IS", "MT", "LU", "EE"}
	titles    = []string{"", "", "Software Engineer", "Senior Software Engineer", "Engineering Manager", "Data Scientist", "DevOps Engineer",
		"Account Executive", "Sales Manager", "Vertriebsleiter", "Marketing Manager", "Accountant", "Chief Financial Officer", "HR Business Partner",
		"Recruiter", "Customer Support Agent", "Product Manager", "Project Manager", "Einkäufer", "Operations Director", "Office Manager", "UX Designer"}
	rareTitles = []string{"Legal Counsel", "Chief Executive Officer"}
	firstNames = 400
	lastNames  = 20_000
)

// word returns a name for a number.
func word(n int) string {
	const consonants, vowels = "bcdfghjklmnprstv", "aeiou"
	name := []byte{'N'}
	for ; n > 0; n /= len(consonants) * len(vowels) {
		name = append(name, vowels[n%len(vowels)], consonants[n/len(vowels)%len(consonants)])
	}
	return string(name) + "a"
}

func pick(random *rand.Rand, usual, rare []string, oneIn int) string {
	if random.IntN(oneIn) == 0 {
		return rare[random.IntN(len(rare))]
	}
	return usual[random.IntN(len(usual))]
}

// newPerson returns person n of a company.
func newPerson(random *rand.Rand, n int, company string) (directory.Person, error) {
	email, err := identity.ParseEmail(fmt.Sprintf("p%d@%s", n, company))
	if err != nil {
		return directory.Person{}, fmt.Errorf("make an address: %w", err)
	}
	p := directory.Person{
		Email: email, Name: word(random.IntN(firstNames)) + " " + word(random.IntN(lastNames)),
		Country: pick(random, countries, rare, 1_000), JobTitle: pick(random, titles, rareTitles, 200), CompanyName: "Company",
	}
	p.Identity = user.IdentityOf(usersync.UserInput{Email: email, JobTitle: p.JobTitle})
	return p, nil
}

// fill stores n people, a tenth of them in the big company, and makes a tenth
// of them users.
func (d *database) fill(ctx context.Context, o tenant.Organization, n int) error {
	random := rand.New(rand.NewPCG(1, 2))
	batch := make([]directory.Person, 0, atOnce)
	for i := range n {
		company := bigCompany
		if i%10 != 0 {
			company = fmt.Sprintf("company%d.example", random.IntN(max(n*9/10/companySize, 1)))
		}
		p, err := newPerson(random, i, company)
		if err != nil {
			return err
		}
		batch = append(batch, p)
		if len(batch) == atOnce || i == n-1 {
			if err := directory.SavePeople(ctx, d.store.Org(o.ID), o.Salt, batch); err != nil {
				return fmt.Errorf("store people: %w", err)
			}
			batch = batch[:0]
		}
	}
	_, err := d.db.ExecContext(ctx, `INSERT INTO users (id, organization_id, email_key, email, person_key, company, country, department, seniority,
			name, job_title, created_at, updated_at)
		SELECT 'user_' || substr(id, 5), organization_id, email_key, email, person_key, company, country, department, seniority,
			name, job_title, created_at, updated_at
		FROM people WHERE organization_id = $1 AND substr(id, 20, 1) IN ('0', '1', '2')`, o.ID)
	if err != nil {
		return fmt.Errorf("make people users: %w", err)
	}
	return nil
}
