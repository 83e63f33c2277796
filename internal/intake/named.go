package intake

import (
	"context"

	"usersync/internal/store"
)

var namedStatement = store.Define("intake.namedUsers", `
SELECT u.organization_id, u.id FROM {rows} JOIN users u ON u.id = r.id WHERE u.organization_id = r.organization_id`,
	store.Col("organization_id", store.Text), store.Col("id", store.Text))

// findNamed finds the users that requests name by their ids. A request whose id is that of
// no user of the organization is about the user with its address, as one that names none.
func findNamed(ctx context.Context, tx *store.Tx, open []*Submission) error {
	set := namedStatement.Rows(1)
	var naming []*Acceptance
	for _, sub := range open {
		for _, a := range sub.Items {
			if a.Input == nil && a.User.UserID != "" {
				naming = append(naming, a)
				set.Add(a.organization, a.User.UserID)
			}
		}
	}
	if len(naming) == 0 {
		return nil
	}
	type person struct{ organization, id string }
	known := map[person]bool{}
	_, err := store.Collect(ctx, tx.Conn, namedStatement, set, func(scan func(...any) error) (struct{}, error) {
		var p person
		err := scan(&p.organization, &p.id)
		known[p] = true
		return struct{}{}, err
	})
	for _, a := range naming {
		a.named = known[person{a.organization, a.User.UserID}]
	}
	return err
}
