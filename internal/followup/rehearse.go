package followup

import (
	"maps"
	"slices"
	"strings"
	"time"

	"usersync/internal/usersync"
)

// Rehearsal is what a follow-up would do about an event.
type Rehearsal struct {
	// Matches says whether the event sets it off, and Why which comparison says no.
	Matches bool   `json:"matches"`
	Why     string `json:"why,omitempty"`
	// Actions are those that would run, in their order.
	Actions []Rehearsed `json:"actions"`
	// Ended says why the rest would not run: the condition holds no more after a wait, or
	// an action cannot be filled in.
	Ended string `json:"ended,omitempty"`
}

// Rehearsed is an action that would run.
type Rehearsed struct {
	Place string `json:"place"`
	// At is when it would run.
	At usersync.Time `json:"at"`
	// Action has its values filled in. A branch has none of its actions.
	Action Action `json:"action"`
	// Takes is the way that a branch goes, then or else, and Why why it is else.
	Takes string `json:"takes,omitempty"`
	Why   string `json:"why,omitempty"`
}

// Rehearse runs a program without doing anything. What an action would change of the
// profile is changed in a copy of the data, so that later conditions see it. A webhook is
// answered by the response of its name in the data, if there is one.
func (p *Program) Rehearse(data map[string]any, now time.Time) Rehearsal {
	r := rehearsing{program: p, data: copied(data), now: now, out: Rehearsal{Actions: []Rehearsed{}}}
	if r.out.Matches, r.out.Why = p.Matches(NewSubject(r.data)); r.out.Matches {
		r.run()
	}
	return r.out
}

type rehearsing struct {
	program *Program
	data    map[string]any
	now     time.Time
	out     Rehearsal
}

func (r *rehearsing) run() {
	for at := 0; at < len(r.program.Steps) && r.out.Ended == ""; {
		at = r.step(r.program.Steps[at])
	}
}

// step rehearses a step and returns the number of the next one.
func (r *rehearsing) step(s Step) int {
	action, err := s.Fill(r.data)
	if err != nil {
		r.out.Ended = usersync.AsError(err).Message
		return s.Next
	}
	shown := Rehearsed{Place: s.Place, At: usersync.Time{Time: r.now.UTC()}, Action: action}
	next := s.Next
	switch action.Type {
	case Branch:
		next, shown.Why = s.Takes(NewSubject(r.data))
		if shown.Takes = "then"; shown.Why != "" {
			shown.Takes = "else"
		}
	case Wait:
		r.wait(s.Place, action)
	default:
		r.change(action)
	}
	r.out.Actions = append(r.out.Actions, shown)
	return next
}

// wait lets the time pass, and asks the condition again.
func (r *rehearsing) wait(place string, a Action) {
	d, err := a.WaitFor(r.now)
	if err != nil {
		r.out.Ended = place + "." + usersync.AsError(err).Message
		return
	}
	r.now = r.now.Add(d)
	if yes, why := r.program.Matches(NewSubject(r.data)); !yes {
		r.out.Ended = "after " + place + ": " + why
	}
}

// change changes the copy of the profile as an action would.
func (r *rehearsing) change(a Action) {
	profile := r.data["profile"].(map[string]any)
	attributes := profile["attributes"].(map[string]any)
	set := func(field string, value any) {
		if name, ok := strings.CutPrefix(field, attributePrefix); ok {
			attributes[name] = value
			return
		}
		profile[field] = value
	}
	for name, value := range a.Set {
		set(name, value.Any())
	}
	for _, name := range a.Unset {
		set(name, "")
	}
	tags, _ := profile["tags"].([]string)
	switch a.Type {
	case AddTag:
		for _, tag := range a.Tags {
			if !contains(tags, tag) {
				tags = append(tags, tag)
			}
		}
	case RemoveTag:
		tags = slices.DeleteFunc(tags, func(tag string) bool { return contains(a.Tags, tag) })
	case Unsubscribe:
		channel := a.Channel
		if channel == "" {
			channel = usersync.ChannelEmail
		}
		profile["consent"].(map[string]any)[string(channel)] = string(usersync.Unsubscribed)
	}
	profile["tags"] = tags
}

// copied returns data whose profile may be changed. What a profile always has is there.
func copied(data map[string]any) map[string]any {
	out := maps.Clone(data)
	profile := inner(data, "profile")
	profile["attributes"], profile["consent"] = inner(profile, "attributes"), inner(profile, "consent")
	profile["tags"] = listOf(profile["tags"])
	out["profile"] = profile
	for _, root := range []string{"attributes", "trigger", "responses"} {
		out[root] = inner(data, root)
	}
	return out
}

// inner returns a copy of a map within a map, an empty one where there is none.
func inner(data map[string]any, name string) map[string]any {
	if in, ok := data[name].(map[string]any); ok {
		return maps.Clone(in)
	}
	return map[string]any{}
}

// listOf returns a copy of a list of texts.
func listOf(value any) []string {
	out := []string{}
	switch list := value.(type) {
	case []string:
		out = append(out, list...)
	case []any:
		for _, one := range list {
			if text, ok := textOf(one); ok {
				out = append(out, text)
			}
		}
	}
	return out
}

// Addresses returns, for each webhook of a definition, the part of its address that is
// literal, by the place of the address.
func (p *Program) Addresses() map[string]string {
	out := map[string]string{}
	for _, s := range p.Steps {
		if s.action.Type != SendWebhook {
			continue
		}
		literal, _, _ := strings.Cut(s.action.URL, "{{")
		out[s.Place+".url"] = literal
	}
	return out
}

// ConnectionIDs returns the ids of the connections that a definition names, by place.
func (p *Program) ConnectionIDs() map[string][]string {
	out := map[string][]string{}
	for _, s := range p.Steps {
		if len(s.action.Connections) > 0 {
			out[s.Place+".connections"] = s.action.Connections
		}
	}
	return out
}
