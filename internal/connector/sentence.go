package connector

import (
	"cmp"
	"strings"

	"usersync/internal/usersync"
)

// This file owns the sentences of Result.Details. A connector says what happened, and
// this file chooses the words. So a step reads the same on every platform.

// Target names where a connection puts people and what it gives them, in the
// words that its owner knows.
type Target struct {
	// Place is where people are put: "the 'active-clients' list", see Named. It is
	// empty where the platform has no place but the account itself.
	Place string
	// Tags are the names of the tags that everybody gets.
	Tags []string
	// Noun is what the platform calls its tags, in the plural. The default is "tags".
	Noun string
}

// Named returns the place of a kind, such as "list", that has a name. Without a
// name there is no place: it returns "".
func Named(kind, name string) string {
	if name == "" {
		return ""
	}
	return "the '" + name + "' " + kind
}

// Tense decides whether a sentence tells what a push did or what it would do.
type Tense struct{ be, was, have string }

// The tenses: of a push, and of a preview.
var (
	Did   = Tense{be: "", was: "was", have: "have been"}
	Would = Tense{be: "would be ", was: "would be", have: "would be"}
)

// Sync says that a person is brought to a target: "User added to the
// 'active-clients' list; tags 'vip' have been applied".
func (t Tense) Sync(status Status, to Target) string {
	return "User " + t.be + string(status) + into(status, to.Place) + t.also(to)
}

// Outcome is the result of a person who is brought to a target, with the sentence
// of Sync. remote is what the platform knows them by.
func (t Tense) Outcome(status Status, to Target, remote string) Result {
	return Result{Status: status, Details: t.Sync(status, to), Remote: remote}
}

// AddedOrUpdated is the status of a person whom the platform knows already, or not.
func AddedOrUpdated(known bool) Status { //lint:flag known is what the status says
	if known {
		return Updated
	}
	return Added
}

// Tag says that people get tags and nothing else is worth telling: "Tags 'vip'
// have been applied".
func (t Tense) Tag(to Target) string {
	return "Tags " + quoteAll(to.Tags) + " " + t.have + " applied"
}

// UpdateOnly says that a person who has left is updated and not brought back: "User
// has unsubscribed at Klaviyo and was updated, but not added to the 'newsletter'
// list". why says how they left, but what is not done to them.
func (t Tense) UpdateOnly(to Target, why, but string) string {
	return "User " + why + " and " + t.was + " updated, but not " + but + t.also(to)
}

// LeaveAlone says that nothing is written of a person who has left: "User has
// unsubscribed at Brevo and was left as they are". why says how they left.
func (t Tense) LeaveAlone(why string) string {
	return "User " + why + " and " + t.was + " left as they are"
}

// Leave says that a person is taken off a target: "User removed from the 'newsletter'
// list; tags 'vip' have been taken away".
func (t Tense) Leave(from Target) string {
	tags := ""
	if len(from.Tags) > 0 {
		tags = from.tags() + " " + t.have + " taken away"
	}
	switch {
	case from.Place == "":
		return strings.ToUpper(tags[:min(1, len(tags))]) + tags[min(1, len(tags)):]
	case tags == "":
		return "User " + t.be + "removed from " + from.Place
	}
	return "User " + t.be + "removed from " + from.Place + "; " + tags
}

// tags names the tags of a target: "tags 'vip', 'new'".
func (to Target) tags() string { return cmp.Or(to.Noun, "tags") + " " + quoteAll(to.Tags) }

func (t Tense) also(to Target) string {
	if len(to.Tags) == 0 {
		return ""
	}
	return "; " + to.tags() + " " + t.have + " applied"
}

func into(status Status, place string) string {
	switch {
	case place == "":
		return ""
	case status == Updated:
		return " in " + place
	}
	return " to " + place
}

func quoteAll(names []string) string { return "'" + strings.Join(names, "', '") + "'" }

// Unsubscribed is the result of a person who has left. details is a sentence of
// UpdateOnly or LeaveAlone.
func Unsubscribed(remote, details string) Result {
	return Result{Status: Skipped, Reason: usersync.ReasonUnsubscribed, Details: details, Remote: remote}
}

// Working is the result of a person whom a platform has taken and works on later.
func Working(platform, job, remote string) Result {
	return Result{Status: Pending, Job: job, Details: "User handed to " + platform + ", which works on it", Remote: remote}
}

// Rejected is the result of a person whom the platform refuses.
func Rejected(err error) Result {
	e := usersync.AsError(err)
	return Result{Status: Failed, Details: "User refused: " + e.Message, Err: e}
}

// RejectedFor is the result of a person whom the platform refuses with these words.
func RejectedFor(said string) Result {
	return Rejected(usersync.Errorf(usersync.CodeRejected, "%s", Quote(said)))
}

// RemovedFrom is the result of a person who is removed from a place or a platform.
func RemovedFrom(place string) Result {
	return Result{Status: Removed, Details: "User removed from " + place}
}

// NotThere is the result of a removal of a person whom nobody found.
func NotThere(place string) Result {
	return Result{Status: Removed, Details: "User was not in " + place}
}

// RemovalRequested is the result of a person whose removal another side does, in
// its own time.
func RemovalRequested(at string) Result {
	return Result{Status: Removed, Details: "User's removal was requested at " + at}
}
