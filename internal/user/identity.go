package user

import (
	"usersync/internal/identity"
	"usersync/internal/usersync"
)

// Identity is what the colleague search compares people by. It follows from the
// address, the country and the job title.
type Identity struct {
	Key        string // the address without +tag: the same person under two addresses
	Company    string // "" where the address tells none: see identity.CompanyOf
	Department string
	Seniority  int
}

// IdentityOf derives what the colleague search compares a user by.
func IdentityOf(in usersync.UserInput) Identity {
	return Identity{
		Key:        identity.CanonicalKey(in.Email),
		Department: identity.Department(in.JobTitle),
		Seniority:  identity.Seniority(in.JobTitle),
		Company:    identity.CompanyOf(in.Email),
	}
}
