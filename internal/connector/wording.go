package connector

import "strings"

// Wording says in one sentence what became of a person, or what would: "User
// added to the 'active-clients' list with tags 'a', 'b'".
type Wording struct {
	// Place is where the person is: "the 'active-clients' list".
	Place string
	Tags  []string
	// Would makes it the sentence of a preview.
	Would bool
}

// verbs are the words for a status, with the preposition before the place.
var verbs = map[Status]string{
	Added: "added to", Updated: "updated in", Synced: "added to or updated in", Pending: "handed in for", Removed: "removed from",
}

// Say returns the sentence for a status.
func (w Wording) Say(s Status) string {
	text := "User "
	if w.Would {
		text += "would be "
	}
	text += verbs[s] + " " + w.Place
	switch len(w.Tags) {
	case 0:
		return text
	case 1:
		return text + " with tag " + quoteAll(w.Tags)
	}
	return text + " with tags " + quoteAll(w.Tags)
}

func quoteAll(names []string) string { return "'" + strings.Join(names, "', '") + "'" }
