package brevo

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/usersync"
)

// doubleOptIn is a connection whose list takes nobody who has not confirmed.
type doubleOptIn struct{ *brevo }

var (
	_ ability.Subscriber  = doubleOptIn{}
	_ connector.Confirmer = doubleOptIn{}
)

// awaits reports whether the list takes a contact only once they have confirmed. Who has
// left is another case: nobody asks them.
func (b *brevo) awaits(k known) bool {
	return b.settings.DoubleOptInTemplate > 0 && !slices.Contains(k.Lists, b.list) && !k.hasLeft(b.list)
}

// Subscribe has Brevo ask those who agreed to confirm, who are not on the list yet: once for
// each consent. Brevo does not say when somebody left. So who has left stays away.
func (d doubleOptIn) Subscribe(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	return d.client.Each(ctx, people, func(ctx context.Context, p connector.Profile) (connector.Result, error) {
		k, err := d.find(ctx, p)
		if err != nil {
			return connector.Result{}, fmt.Errorf("find the contact: %w", err)
		}
		said := askedFor(p)
		_, asked := split(p.Remote)
		switch {
		case k.ID == 0:
			return connector.Unsubscribed(p.Remote, "they are no contact at Brevo"), nil
		case k.Blacklisted || k.hasLeft(d.list):
			return connector.Unsubscribed(p.Remote, "they left at Brevo, which does not say when, and stay unsubscribed"), nil
		case !d.awaits(k):
			return connector.Result{Status: connector.Updated, Remote: p.Remote}, nil
		case asked == said:
			return connector.Result{Status: connector.Updated, Remote: p.Remote, Details: "Brevo has asked them to confirm"}, nil
		}
		if err := d.ask(ctx, p); err != nil {
			return connector.Result{}, fmt.Errorf("have Brevo ask them to confirm: %w", err)
		}
		return connector.Result{Status: connector.Updated, Remote: k.remote() + between + said, Details: "Brevo asks them to confirm"}, nil
	})
}

// ask has Brevo send the e-mail by which a person gets on the list.
func (d doubleOptIn) ask(ctx context.Context, p connector.Profile) error {
	body := map[string]any{
		"email": p.Email.Display(), "attributes": d.contact(p).Attributes, "includeListIds": []int64{d.list},
		"templateId": d.settings.DoubleOptInTemplate, "redirectionUrl": d.settings.DoubleOptInURL,
	}
	r, err := d.call(ctx, http.MethodPost, "/contacts/doubleOptinConfirmation", body, nil)
	if err != nil {
		return d.listFault(r, err)
	}
	return connector.Expect(platform, r, http.StatusCreated, http.StatusNoContent)
}

// between stands in the Remote of a person between Brevo's id and the time of the consent
// for which Brevo has asked them to confirm.
const between = "~"

// askedFor is the time of a person's consent, in microseconds.
func askedFor(p connector.Profile) string {
	return strconv.FormatInt(p.Consents[usersync.ChannelEmail].At.UnixMicro(), 10)
}

// split returns Brevo's id, and for which consent the person was asked; "" for none.
func split(remote string) (id, asked string) {
	id, asked, _ = strings.Cut(remote, between)
	return id, asked
}

// keepAsked keeps in the results of people for which consent they were asked.
func keepAsked(people []connector.Profile, results []connector.Result) {
	for i := range results {
		if _, asked := split(people[i].Remote); asked != "" && results[i].Remote != "" {
			results[i].Remote += between + asked
		}
	}
}

// Push writes people, and puts nobody on the list.
func (d doubleOptIn) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	results, err := d.brevo.Push(ctx, people)
	keepAsked(people, results)
	return results, err
}

// Move is that of every connection.
func (d doubleOptIn) Move(ctx context.Context, p connector.Profile, from usersync.Email) (connector.Result, error) {
	result, err := d.brevo.Move(ctx, p, from)
	results := []connector.Result{result}
	keepAsked([]connector.Profile{p}, results)
	return results[0], err
}
