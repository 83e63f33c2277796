package pipeline

import (
	"cmp"
	"context"

	"usersync/internal/consent"
	"usersync/internal/usersync"
)

// saveConsents takes in what the requests say of the wishes of their users. Who says
// nothing of when, or names a time to come, says it now.
func (st *settlement) saveConsents(ctx context.Context) error {
	var said []consent.Statement
	for _, w := range st.works {
		for channel, c := range w.Input.Consent {
			c.Source = cmp.Or(c.Source, "api")
			if c.At.IsZero() || c.At.After(w.CreatedAt) {
				c.At = usersync.Time{Time: w.CreatedAt}
			}
			said = append(said, consent.Statement{UserID: w.User.ID, Channel: channel, Consent: c, Cause: w.ID, Actor: string(w.Kind)})
		}
	}
	_, err := consent.Save(ctx, st.tx, st.organization.ID, said)
	return err
}
