package brevo

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"usersync/internal/connector"
)

// Many people are looked up by pages of all contacts, as long as that takes far fewer calls
// than to ask for each of them. The pages tell who is no contact and who is on the list.
// A contact that is not on the list may have left it. Brevo's description does not promise
// that a page says so, and those people take a call of their own.

const (
	// pageOfContacts is the most contacts in one answer. Brevo would put 1,000 there, but
	// contacts with many attributes would make that longer than connector.MaxResponse.
	pageOfContacts = 500
	// perPage is how many people of a push one page is read for at most.
	perPage = 10
)

// contactPage is an answer with contacts.
type contactPage struct {
	Count    *int            `json:"count"`
	Contacts []listedContact `json:"contacts"`
}

// listedContact is a contact in a page.
type listedContact struct {
	known
	Email string `json:"email"`
}

// survey returns what Brevo has of people, by the keys of their addresses. Who is missing
// there has to be looked up.
func (b *brevo) survey(ctx context.Context, people []connector.Profile) (map[string]known, error) {
	contacts, err := b.contacts(ctx, len(people)/perPage)
	if err != nil || contacts == nil {
		return nil, err
	}
	out := map[string]known{}
	for _, p := range people {
		one, there := contacts[p.Email.Key()]
		switch {
		case there && (one.Blacklisted || slices.Contains(one.Lists, b.list)):
			out[p.Email.Key()] = one.known
		case !there && isASCII(p.Email.Key()): // Brevo may write a foreign name in another way
			out[p.Email.Key()] = known{}
		}
	}
	return out, nil
}

// contacts reads all contacts, by address in lower case. It returns nil if they fill more
// pages, or change while they are read.
func (b *brevo) contacts(ctx context.Context, pages int) (map[string]listedContact, error) {
	out := map[string]listedContact{}
	for page, count := 0, 0; page < pages; page++ {
		var answer contactPage
		path := fmt.Sprintf("/contacts?limit=%d&offset=%d&sort=asc", pageOfContacts, page*pageOfContacts)
		if _, err := b.call(ctx, http.MethodGet, path, nil, &answer); err != nil {
			return nil, fmt.Errorf("read a page of contacts: %w", err)
		}
		if answer.Count == nil {
			return nil, connector.Unexpected(platform)
		}
		if page == 0 {
			count = *answer.Count
		}
		for _, one := range answer.Contacts {
			out[strings.ToLower(one.Email)] = one
		}
		read := page*pageOfContacts + len(answer.Contacts)
		switch {
		case *answer.Count != count || count > pages*pageOfContacts || len(answer.Contacts) < pageOfContacts && read < count:
			return nil, nil
		case read >= count:
			return out, nil
		}
	}
	return nil, nil
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > '~' })
}
