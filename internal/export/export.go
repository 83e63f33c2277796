// Package export reads everything that is stored about one person, so that the person
// can be shown it.
package export

import (
	"context"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// DirectoryEntry is what the imported directory says of the person.
type DirectoryEntry struct {
	ID          string         `json:"id"`
	Email       usersync.Email `json:"email"`
	Name        string         `json:"name"`
	JobTitle    string         `json:"jobTitle"`
	Country     string         `json:"country"`
	Company     string         `json:"company"`
	CompanyName string         `json:"companyName"`
	Website     string         `json:"website"`
	Photo       string         `json:"photo"`
	CreatedAt   usersync.Time  `json:"createdAt"`
	UpdatedAt   usersync.Time  `json:"updatedAt"`
}

var directoryEntryStatement = store.Define("export.directoryEntry", `
SELECT id, email, email_key, name, job_title, country, company, company_name, website, photo, created_at, updated_at FROM people
WHERE organization_id = $1 AND email_key = $2`)

// FindDirectoryEntry returns the entry of an address in the directory; nil when there is none.
func FindDirectoryEntry(ctx context.Context, o *store.Org, email usersync.Email) (*DirectoryEntry, error) {
	return oneOf(store.Collect(ctx, o.Reader(), directoryEntryStatement, nil, func(scan func(...any) error) (p DirectoryEntry, err error) {
		var address, key string
		var created, updated int64
		err = scan(&p.ID, &address, &key, &p.Name, &p.JobTitle, &p.Country, &p.Company, &p.CompanyName, &p.Website, &p.Photo, &created, &updated)
		p.Email, p.CreatedAt, p.UpdatedAt = usersync.NewEmail(address, key), store.Stamp(created), store.Stamp(updated)
		return p, err
	}, o.ID(), email.Key()))
}

// oneOf returns the first of a list; nil for none.
func oneOf[T any](list []T, err error) (*T, error) {
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}
