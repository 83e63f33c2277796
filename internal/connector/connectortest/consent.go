package connectortest

import (
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/usersync"
)

// agreed returns a person who said at a time that they want e-mail, or that they do not.
func agreed(p connector.Profile, status usersync.ConsentStatus, at time.Time) connector.Profile {
	p.Consents = usersync.Consents{usersync.ChannelEmail: {Status: status, Source: "form", At: usersync.Time{Time: at}}}
	return p
}

// unsubscribes tells of somebody whom the platform has and of somebody whom it has not.
// Neither may get mail after that, whatever is pushed of them.
func unsubscribes(f *fixture) {
	u, ok := ability.UnsubscriberOf(f.connector)
	if !ok {
		f.Skip("the platform cannot be told")
	}
	ada := agreed(Ada(f), usersync.Unsubscribed, time.Now())
	f.bringOne(&ada)
	people := []connector.Profile{ada, agreed(Grace(f), usersync.Unsubscribed, time.Now())}
	for range 2 {
		results, err := u.Unsubscribe(f.Context(), people)
		f.clean(err, results)
		if err != nil || len(results) != len(people) {
			f.Fatalf("%d results, %v", len(results), err)
		}
		var pushed []connector.Profile
		for i, r := range results {
			if r.Status == connector.Updated {
				pushed = append(pushed, people[i])
			} else if r.Status != connector.Skipped || r.Reason != usersync.ReasonUnsubscribed || r.Details == "" {
				f.Errorf("person %d: %+v", i, r)
			}
		}
		if len(pushed) > 0 {
			f.bring(pushed...)
		}
		if !f.Held(ada).Unsubscribed {
			f.Error("who does not want mail gets it")
		}
		if one, known := f.Fake.People().Get(people[1].Email.Display()); known && !one.Unsubscribed && len(one.Lists) > 0 {
			f.Errorf("who was nobody gets mail: %+v", one)
		}
	}
}

// subscribes tells of somebody who agreed, and of somebody who left before or after.
func subscribes(f *fixture) {
	s, ok := ability.SubscriberOf(f.connector)
	if !ok {
		f.Skip("the platform cannot be told")
	}
	tell := func(p connector.Profile) connector.Result {
		f.Helper()
		results, err := s.Subscribe(f.Context(), []connector.Profile{p})
		f.clean(err, results)
		if err != nil || len(results) != 1 {
			f.Fatalf("%d results, %v", len(results), err)
		}
		return results[0]
	}
	ada, grace := Ada(f), Grace(f)
	f.bringOne(&ada)
	f.bringOne(&grace)
	f.wantStatus(tell(agreed(ada, usersync.Subscribed, time.Now())), connector.Updated)
	f.wantStatus(tell(agreed(ada, usersync.Subscribed, time.Now())), connector.Updated)
	f.Unsubscribe(grace)
	if r := tell(agreed(grace, usersync.Subscribed, time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))); r.Status != connector.Skipped || !f.Held(grace).Unsubscribed {
		f.Errorf("who left after they agreed: %+v, %+v", r, f.Held(grace))
	}
	if r := tell(agreed(grace, usersync.Subscribed, time.Now())); r.Status != connector.Updated || f.Held(grace).Unsubscribed {
		f.Errorf("who agreed after they left: %+v, %+v", r, f.Held(grace))
	}
}
