package user

import (
	"usersync/internal/person"
	"usersync/internal/usersync"
)

// IdentityOf returns what the colleague search compares a user by. Only a work
// address tells a company.
func IdentityOf(in usersync.UserInput) Identity {
	p := Identity{
		Key:        person.CanonicalKey(in.Email),
		Department: person.Department(in.JobTitle),
		Seniority:  person.Seniority(in.JobTitle),
	}
	if person.KindOf(in.Email) == person.Work {
		p.Company = person.Company(in.Email.Domain())
	}
	return p
}

// Identity is what the colleague search compares people by. It follows from the
// address, the country and the job title.
type Identity struct {
	Key        string // the address without +tag: the same person under two addresses
	Company    string // "" for personal and disposable addresses
	Department string
	Seniority  int
}
