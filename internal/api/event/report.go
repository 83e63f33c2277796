package event

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"usersync/internal/api"
	"usersync/internal/followup"
	"usersync/internal/identity"
	"usersync/internal/intake"
	"usersync/internal/request"
	"usersync/internal/usersync"
)

// The parameters of a user that the contract names.
const (
	emailParameter     = "email"
	firstNameParameter = "firstname"
	infixParameter     = "suffix" // that of a name: van der
	lastNameParameter  = "lastname"
)

// report returns the handler of one type of event. read checks the parameters, and notes
// the user whom the event tells of.
func (h *Handlers) report(t followup.EventType, read func(*sent) error) func(*api.Call) error {
	return func(c *api.Call) error {
		in, err := readSent(c)
		if err != nil {
			return fmt.Errorf("read the body: %w", err)
		}
		if err := read(in); err != nil {
			return fmt.Errorf("check the parameters: %w", err)
		}
		item, err := h.acceptance(c, in)
		if err != nil {
			return err
		}
		item.Event = &intake.NewEvent{Type: string(t), Attributes: in.attributes()}
		sub, err := c.Submit([]*intake.Acceptance{item}, nil)
		if err != nil {
			return fmt.Errorf("accept the event: %w", err)
		}
		accepted := sub.Accepted[0]
		c.Header().Set("X-Created", strconv.FormatInt(accepted.Sequence(), 10))
		c.Header().Set("X-Location", "/v1/events/"+accepted.EventID())
		return c.NoContent(http.StatusCreated)
	}
}

// acceptance returns the request that reports the event. One that tells of no user is
// about whoever has its address, if anybody does: nothing is stored of them.
func (h *Handlers) acceptance(c *api.Call, in *sent) (*intake.Acceptance, error) {
	if in.user != nil {
		return c.Acceptance(request.KindEvent, c.ID, *in.user), nil
	}
	about := ""
	if email, err := identity.ParseEmail(in.text(emailParameter)); err == nil {
		known, err := h.Management.ListUsersByEmail(c.Context(), c.Caller.Org, email)
		if err != nil {
			return nil, fmt.Errorf("find the user: %w", err)
		}
		if len(known) > 0 {
			about = known[0].ID
		}
	}
	item, err := c.Asking(request.KindEvent, about, usersync.Email{}, struct{}{})
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	return item, nil
}

// needing returns the check for parameters that are required.
func needing(names ...string) func(*sent) error {
	return func(in *sent) error { return in.require(names...) }
}

// readUser notes the user of an event of a user, who is there again if they were removed.
func readUser(in *sent) error { return in.readUser(false) }

// readRemovedUser notes the user of an event that says they were removed.
func readRemovedUser(in *sent) error { return in.readUser(true) }

func (in *sent) readUser(removed bool) error {
	if err := in.require(emailParameter); err != nil {
		return err
	}
	email, err := identity.ParseEmail(in.text(emailParameter))
	if err != nil {
		return invalid(emailParameter, "must be an e-mail address")
	}
	u := usersync.UserInput{Email: email, Removed: &removed}
	first, said, err := in.name(firstNameParameter)
	if err != nil {
		return err
	}
	set(&u, usersync.FieldFirstName, &u.FirstName, first, said)
	infix, _, err := in.name(infixParameter)
	if err != nil {
		return err
	}
	last, said, err := in.name(lastNameParameter)
	if err != nil {
		return err
	}
	if last != "" {
		last = strings.TrimSpace(infix + " " + last)
	}
	set(&u, usersync.FieldLastName, &u.LastName, last, said)
	if u.Attributes, err = in.userAttributes(emailParameter, firstNameParameter, infixParameter, lastNameParameter); err != nil {
		return err
	}
	in.user = &u
	return nil
}

// set gives a field what was said of it. null and a text without characters clear it.
func set(u *usersync.UserInput, f usersync.Field, to *string, value string, said bool) {
	*to = value
	if said && value == "" {
		u.Cleared = append(u.Cleared, f)
	}
}

// userAttributes returns the further parameters as attributes of the user: those within
// data are data.size and the like. Lists are left to the event.
func (in *sent) userAttributes(except ...string) (map[string]any, error) {
	out := map[string]any{}
	flatten(out, "", in.values)
	for _, name := range except {
		delete(out, name)
	}
	for name, value := range out {
		switch v := value.(type) {
		case string:
			if v == "" {
				out[name] = nil
			}
		case nil, bool, json.Number:
		default:
			delete(out, name)
		}
	}
	return out, checkSize(out)
}

// flatten writes the values beneath a map by the names on the way to them.
func flatten(to map[string]any, prefix string, from map[string]any) {
	for name, value := range from {
		if beneath, ok := value.(map[string]any); ok {
			flatten(to, prefix+name+".", beneath)
			continue
		}
		to[prefix+name] = value
	}
}
