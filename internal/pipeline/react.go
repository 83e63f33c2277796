package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"usersync/internal/consent"
	"usersync/internal/followup"
	"usersync/internal/followup/catalog"
	"usersync/internal/reaction"
	"usersync/internal/request"
	"usersync/internal/usersync"
)

// react asks the organization's follow-ups about events. An organization without any costs
// nothing here.
func (s *Service) react(ctx context.Context, b *batch, list []reported) ([]reaction.Reaction, []request.Step, error) {
	steps := make([]request.Step, len(list))
	for i, r := range list {
		steps[i] = request.Step{Name: request.StepFollowUps, Status: request.StepSucceeded, Attempts: r.Run, Details: setOff(0)}
	}
	if len(list) == 0 {
		return nil, steps, nil
	}
	active, err := s.followUps.Get(ctx, s.Store, b.claim.Organization, list[0].version)
	if err != nil || len(active) == 0 {
		return nil, steps, err
	}
	consents, err := s.consentsOf(ctx, b, list, active)
	if err != nil {
		return nil, steps, err
	}
	var reactions []reaction.Reaction
	for i, r := range list {
		if !asked(active, r) {
			continue
		}
		one := reaction.Ask(active, reaction.Occurrence{Event: r.event, Profile: b.profile(r.event.UserID, consents), Traceparent: r.Traceparent})
		reactions = append(reactions, one)
		steps[i].Details = setOff(len(one.Matched))
		if one.Outcome.Error != "" {
			steps[i].Status, steps[i].Details = request.StepFailed, ""
			steps[i].ErrorCode, steps[i].ErrorMessage = usersync.CodeConflict, one.Outcome.Error
		}
	}
	return reactions, steps, nil
}

func setOff(n int) string {
	switch n {
	case 0:
		return "No follow-up was set off"
	case 1:
		return "1 follow-up was set off"
	}
	return strconv.Itoa(n) + " follow-ups were set off"
}

// asked reports whether there are follow-ups to ask about an event.
func asked(active map[followup.EventType][]catalog.Entry, r reported) bool {
	return r.event.ID != "" && len(active[followup.EventType(r.event.Type)]) > 0
}

// consentsOf returns the wishes of the users of those events that follow-ups are asked
// about.
func (s *Service) consentsOf(ctx context.Context, b *batch, list []reported, active map[followup.EventType][]catalog.Entry) (map[string]usersync.Consents, error) {
	var users []string
	for _, r := range list {
		if id := r.event.UserID; id != "" && asked(active, r) {
			users = append(users, id)
		}
	}
	slices.Sort(users)
	consents, err := consent.Of(ctx, s.Store.Org(b.claim.Organization), slices.Compact(users)...)
	if err != nil {
		return nil, fmt.Errorf("read the wishes of users: %w", err)
	}
	return consents, nil
}

// profile returns what follow-ups know of a user: what the events of the batch have said
// included.
func (b *batch) profile(id string, consents map[string]usersync.Consents) map[string]any {
	u := b.users[id]
	if u == nil {
		return followup.Profile("", usersync.UserInput{}, nil, false)
	}
	in := u.UserInput
	in.Consent = consents[id]
	var tags []string
	for tag := range u.Tags {
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	return followup.Profile(id, in, tags, u.Removed != nil && *u.Removed)
}
