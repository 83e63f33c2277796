package user

import (
	"usersync/internal/identity"
	"usersync/internal/usersync"
)

// Identity is what the colleague search compares people by. It follows from the
// address, the country and the job title.
type Identity struct {
	Key        string // the address without +tag: the same person under two addresses
	Company    string // "" for personal and disposable addresses
	Department string
	Seniority  int
}

// IdentityOf derives what the colleague search compares a user by. Only a work address
// tells a company.
func IdentityOf(in usersync.UserInput) Identity {
	p := Identity{
		Key:        identity.CanonicalKey(in.Email),
		Department: identity.Department(in.JobTitle),
		Seniority:  identity.Seniority(in.JobTitle),
	}
	if identity.KindOf(in.Email) == identity.Work {
		p.Company = identity.Company(in.Email.Domain())
	}
	return p
}
