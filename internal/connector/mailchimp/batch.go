package mailchimp

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// batch is one push of several people.
//
// People whom we do not know are sent first, with a status and with
// update_existing=false, which changes nobody who is in the list. People who turn out
// to be in the list, and people whom we know, are then sent with update_existing=true
// and without a status. That leaves their status as it is, so nobody who left is
// subscribed again. Slices are filled across both groups, so that 1,000 people who are
// all new, or all known, take 2 calls.
type batch struct {
	*client
	people  []connector.Profile
	byEmail map[string]int // index of a person, by address in lower case
	results []connector.Result
}

func (c *client) batch(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	b := &batch{client: c, people: people, byEmail: map[string]int{}, results: make([]connector.Result, len(people))}
	var unknown, known []int
	for i, p := range people {
		b.byEmail[strings.ToLower(p.Email.Display())] = i
		kept := remoteOf(p.Remote)
		switch {
		case !kept.in(c.settings.ListID):
			unknown = append(unknown, i)
		case kept.Member == memberID(p.Email):
			known = append(known, i)
		default: // the address has changed: a slice knows no way to say so
			result, err := c.single(ctx, p)
			if err != nil {
				return b.results, err
			}
			b.results[i] = result
		}
	}
	err := b.run(ctx, unknown, known)
	if failure := usersync.AsError(err); isListMissing(failure) && failure.Code == usersync.CodeRejected {
		b.failRest(failure)
		return b.results, nil
	}
	return b.results, err
}

// failRest fails everybody of whom nothing is known yet, because halving the batch
// would find nobody to blame.
func (b *batch) failRest(why *usersync.Error) {
	for i, p := range b.people {
		if b.results[i].Status == "" {
			b.results[i] = failed(p, why)
		}
	}
}

func (b *batch) run(ctx context.Context, unknown, known []int) error {
	there, err := b.send(ctx, unknown, b.add)
	if err != nil {
		return fmt.Errorf("push people who are new: %w", err)
	}
	refused, err := b.send(ctx, slices.Concat(known, there), b.update)
	if err != nil {
		return fmt.Errorf("push people who are in the audience: %w", err)
	}
	// The owner may have taken people out at Mailchimp whom we knew. People who are still
	// there, and were refused for another reason, keep that reason, because add changes
	// only people who are not there.
	_, err = b.send(ctx, refused, b.add)
	return err
}

// send sends people in slices, and returns those who are to be sent in another way.
func (b *batch) send(ctx context.Context, who []int, call func(context.Context, []int) ([]int, error)) ([]int, error) {
	var again []int
	for part := range slices.Chunk(who, slice) {
		more, err := call(ctx, part)
		again = append(again, more...)
		if err != nil {
			return again, err
		}
	}
	return again, nil
}

type sliceBody struct {
	Members        []sliceMember `json:"members"`
	UpdateExisting bool          `json:"update_existing"`
	SyncTags       bool          `json:"sync_tags"` // true would take other tags away
}

type sliceMember struct {
	Email       string         `json:"email_address"`
	Status      string         `json:"status,omitempty"`
	MergeFields map[string]any `json:"merge_fields"`
	Tags        []string       `json:"tags,omitempty"`
}

type sliceAnswer struct {
	New     []member     `json:"new_members"`
	Updated []member     `json:"updated_members"`
	Errors  []sliceError `json:"errors"`
}

type sliceError struct {
	Email        string `json:"email_address"`
	Error        string `json:"error"`
	Code         string `json:"error_code"`
	Field        string `json:"field"`
	FieldMessage string `json:"field_message"`
}

// add adds people who are not in the list, and returns those who are.
func (b *batch) add(ctx context.Context, who []int) (there []int, err error) {
	answer, err := b.slice(ctx, who, b.settings.StatusIfNew)
	if err != nil {
		return nil, err
	}
	for _, e := range answer.Errors {
		i, ok := b.index(e.Email)
		switch {
		case !ok:
		case e.Code != "ERROR_CONTACT_EXISTS":
			b.results[i] = failed(b.people[i], e.err())
		case b.results[i].Status == "":
			there = append(there, i)
		}
	}
	return there, b.complete(who, there)
}

// update writes people who are in the list. It returns those whom we knew before and
// who were refused, because they may have left the list.
func (b *batch) update(ctx context.Context, who []int) (refused []int, err error) {
	answer, err := b.slice(ctx, who, "")
	if err != nil {
		return nil, err
	}
	for _, e := range answer.Errors {
		i, ok := b.index(e.Email)
		if !ok {
			continue
		}
		b.results[i] = failed(b.people[i], e.err())
		if remoteOf(b.people[i].Remote).in(b.settings.ListID) && !joinedTooMany(e.Error) {
			refused = append(refused, i)
		}
	}
	return refused, b.complete(who, nil)
}

// slice makes one call and writes the results of those who were written. An empty
// status is for people who are in the list.
func (b *batch) slice(ctx context.Context, who []int, status string) (sliceAnswer, error) {
	body := sliceBody{UpdateExisting: status == ""}
	for _, i := range who {
		p := b.people[i]
		body.Members = append(body.Members, sliceMember{Email: p.Email.Display(), Status: status, MergeFields: b.fields(p), Tags: b.settings.Tags})
	}
	var answer sliceAnswer
	response, err := b.call(ctx, http.MethodPost, b.settings.ListID, "", lenient, body, &answer)
	if connector.NotFound(response) {
		return answer, b.listMissing()
	}
	if err != nil {
		return answer, fmt.Errorf("write a slice of members: %w", err)
	}
	b.take(answer.New, connector.Added)
	b.take(answer.Updated, connector.Updated)
	return answer, nil
}

func (b *batch) take(members []member, status connector.Status) {
	for _, m := range members {
		i, ok := b.index(m.Email)
		if !ok {
			continue
		}
		b.results[i] = b.outcome(&m, status, connector.Did)
		b.results[i].Remote = remoteOf(b.people[i].Remote).with(b.settings.ListID, memberID(b.people[i].Email)).String()
	}
}

func (b *batch) index(email string) (int, bool) {
	i, ok := b.byEmail[strings.ToLower(email)]
	return i, ok
}

// complete returns an error if an answer says nothing of somebody. The people in later
// still have their turn.
func (b *batch) complete(who, later []int) error {
	for _, i := range who {
		if b.results[i].Status == "" && !slices.Contains(later, i) {
			return usersync.Errorf(usersync.CodeUnavailable, "Mailchimp's answer leaves people out.")
		}
	}
	return nil
}

// err is the refusal of one person in a slice.
func (e sliceError) err() *usersync.Error {
	if joinedTooMany(e.Error) {
		return tooManyLists(e.Error)
	}
	text := e.Error
	if e.FieldMessage != "" {
		text += " " + e.Field + ": " + e.FieldMessage
	}
	if text = connector.Quote(text); text == "" {
		text = "Mailchimp refuses this member."
	}
	return usersync.Errorf(usersync.CodeRejected, "%s", text)
}
