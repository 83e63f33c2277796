package customerio

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
)

var _ ability.Unsubscriber = (*customerio)(nil)

// Unsubscribe sets the attribute that has Customer.io send a person nothing. It is never
// set back: whether a person came back, only they and Customer.io know.
func (c *customerio) Unsubscribe(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	results := make([]connector.Result, len(people))
	b := &batch{}
	for i, p := range people {
		identifiers := map[string]string{c.settings.IdentifyBy: c.identifier(p)}
		attributes := map[string]any{"unsubscribed": true}
		if c.settings.IdentifyBy == byID {
			attributes[byEmail] = p.Email.Display()
		}
		text, err := json.Marshal(item{Type: "person", Action: "identify", Identifiers: identifiers, Attributes: attributes})
		if err != nil {
			return results, fmt.Errorf("write the attribute: %w", err)
		}
		b.items, b.places = append(b.items, text), append(b.places, i)
	}
	// 500 people of 200 bytes each fit into one call.
	r, err := c.track(ctx, http.MethodPost, "/api/v2/batch", map[string]any{"batch": b.items}, nil)
	if err != nil {
		return results, fmt.Errorf("unsubscribe the people: %w", err)
	}
	refused, err := refusedOf(r, len(b.places))
	if err != nil {
		return results, fmt.Errorf("read who was refused: %w", err)
	}
	for i := range people {
		results[i] = connector.Result{Status: connector.Updated}
		if refused[i] != nil {
			results[i] = connector.Rejected(refused[i])
		}
	}
	return results, nil
}
