package connector_test

import (
	"testing"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

func TestSentencesTellWhatAPushDidAndWouldDo(t *testing.T) {
	t.Parallel()
	list := connector.Target{Place: connector.Named("list", "active-clients")}
	tagged := connector.Target{Place: list.Place, Tags: []string{"vip", "trial"}}
	interested := connector.Target{Place: connector.Named("database", "clients"), Tags: []string{"golf"}, Noun: "interests"}
	onlyTags := connector.Target{Tags: []string{"vip"}}
	sync := func(status connector.Status, to connector.Target) func(connector.Tense) string {
		return func(t connector.Tense) string { return t.Sync(status, to) }
	}
	for _, c := range []struct {
		say        func(connector.Tense) string
		did, would string
	}{
		{sync(connector.Added, list), "User added to the 'active-clients' list", "User would be added to the 'active-clients' list"},
		{sync(connector.Updated, list), "User updated in the 'active-clients' list", "User would be updated in the 'active-clients' list"},
		{sync(connector.Synced, list), "User synced to the 'active-clients' list", "User would be synced to the 'active-clients' list"},
		{sync(connector.Added, tagged), "User added to the 'active-clients' list; tags 'vip', 'trial' have been applied",
			"User would be added to the 'active-clients' list; tags 'vip', 'trial' would be applied"},
		{sync(connector.Updated, interested), "User updated in the 'clients' database; interests 'golf' have been applied",
			"User would be updated in the 'clients' database; interests 'golf' would be applied"},
		{sync(connector.Updated, onlyTags), "User updated; tags 'vip' have been applied", "User would be updated; tags 'vip' would be applied"},
		{sync(connector.Added, connector.Target{}), "User added", "User would be added"},
		{func(t connector.Tense) string { return t.Tag(onlyTags) }, "Tags 'vip' have been applied", "Tags 'vip' would be applied"},
		{func(t connector.Tense) string {
			return t.UpdateOnly(connector.Target{}, "has unsubscribed from the 'x' list", "subscribed again")
		},
			"User has unsubscribed from the 'x' list and was updated, but not subscribed again",
			"User has unsubscribed from the 'x' list and would be updated, but not subscribed again"},
		{func(t connector.Tense) string {
			return t.UpdateOnly(onlyTags, "has left the 'x' list", "added to it again")
		},
			"User has left the 'x' list and was updated, but not added to it again; tags 'vip' have been applied",
			"User has left the 'x' list and would be updated, but not added to it again; tags 'vip' would be applied"},
		{func(t connector.Tense) string { return t.LeaveAlone("has unsubscribed at Brevo") },
			"User has unsubscribed at Brevo and was left as they are", "User has unsubscribed at Brevo and would be left as they are"},
	} {
		if got := c.say(connector.Did); got != c.did {
			t.Errorf("got %q, want %q", got, c.did)
		}
		if got := c.say(connector.Would); got != c.would {
			t.Errorf("got %q, want %q", got, c.would)
		}
	}
}

func TestResultsSayWhatBecameOfAPerson(t *testing.T) {
	t.Parallel()
	refusal := usersync.Errorf(usersync.CodeRejected, "Bad phone number")
	for _, c := range []struct {
		got    connector.Result
		status connector.Status
		want   string
	}{
		{connector.Unsubscribed("7", "User has left"), connector.Skipped, "User has left"},
		{connector.Working("Klaviyo", "job1", "7"), connector.Pending, "User handed to Klaviyo, which works on it"},
		{connector.Rejected(refusal), connector.Failed, "User refused: Bad phone number"},
		{connector.RemovedFrom("Brevo"), connector.Removed, "User removed from Brevo"},
		{connector.NotThere("the 'x' list"), connector.Removed, "User was not in the 'x' list"},
		{connector.RemovalRequested("Klaviyo"), connector.Removed, "User's removal was requested at Klaviyo"},
	} {
		if c.got.Status != c.status || c.got.Details != c.want {
			t.Errorf("got %s %q, want %s %q", c.got.Status, c.got.Details, c.status, c.want)
		}
	}
}
