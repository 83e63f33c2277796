package directory

import (
	"fmt"
	"net/http"
	"strings"

	"usersync/internal/api"
	"usersync/internal/identity"
	"usersync/internal/lookup"
	"usersync/internal/record"
	"usersync/internal/usersync"
)

// The parameters of a look-up, which match in any case.
const (
	emailParameter          = "email"
	encryptedEmailParameter = "encryptedEmail"
	encryptedIDParameter    = "encryptedCustomerRegistrationId"
	ignoreParameter         = "ignoreProvider"
)

// parameters returns what a call says by the names above; what it says beside them is
// ignored, such as the deprecated type.
func parameters(c *api.Call) (map[string]string, error) {
	query, err := c.Query()
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for sent, values := range query {
		for _, name := range []string{emailParameter, encryptedEmailParameter, encryptedIDParameter, ignoreParameter} {
			if !strings.EqualFold(sent, name) {
				continue
			}
			if _, twice := out[name]; twice || len(values) > 1 {
				return nil, invalid(name, "must be there once")
			}
			out[name] = strings.TrimSpace(values[0])
		}
	}
	return out, nil
}

// query returns what every look-up says.
func (h *Handlers) query(c *api.Call, sent map[string]string) (lookup.Query, error) {
	q := lookup.Query{SourceSystem: strings.TrimSpace(c.Request().Header.Get(headerSource)), Cause: c.ID, Traceparent: c.Traceparent()}
	switch said := strings.ToLower(sent[ignoreParameter]); said {
	case "", "false":
	case "true":
		q.IgnoreProvider = true
	default:
		return q, invalid(ignoreParameter, "must be true or false")
	}
	return q, nil
}

// findUser is GET /v4/Users.
func (h *Handlers) findUser(c *api.Call) error {
	sent, err := parameters(c)
	if err != nil {
		return err
	}
	q, err := h.query(c, sent)
	if err != nil {
		return err
	}
	if err := h.whom(c, sent, &q); err != nil {
		return err
	}
	return h.answer(c, q)
}

// whom reads who is looked for.
func (h *Handlers) whom(c *api.Call, sent map[string]string, q *lookup.Query) error {
	ways, organization := 0, c.Caller.Organization.ID
	for _, name := range []string{emailParameter, encryptedEmailParameter, encryptedIDParameter} {
		if _, said := sent[name]; said {
			ways++
		}
	}
	switch {
	case ways == 0:
		return invalid(emailParameter, "is required")
	case ways > 1:
		return invalid(emailParameter, "must be there alone, without "+encryptedEmailParameter+" and "+encryptedIDParameter)
	}
	if text, said := sent[encryptedIDParameter]; said {
		id, err := h.Lookup.DecryptID(organization, text)
		if err != nil {
			return invalid(encryptedIDParameter, "must be one that an answer had")
		}
		q.ID = id
		return nil
	}
	address := sent[emailParameter]
	field := emailParameter
	if text, said := sent[encryptedEmailParameter]; said {
		field = encryptedEmailParameter
		plain, err := h.Lookup.DecryptEmail(organization, text)
		if err != nil {
			return invalid(field, "must be one that an answer had")
		}
		address = plain
	}
	email, err := identity.ParseEmail(address)
	if err != nil {
		return invalid(field, "must be an e-mail address")
	}
	q.Email = email
	return nil
}

// findUserByID is GET /v4/Users/{id}/.
func (h *Handlers) findUserByID(c *api.Call) error {
	sent, err := parameters(c)
	if err != nil {
		return err
	}
	q, err := h.query(c, sent)
	if err != nil {
		return err
	}
	if q.ID = c.Param(idName); q.ID == "" {
		return h.findUser(c)
	}
	if !usersync.HasPrefix(q.ID, usersync.PrefixUser) {
		return invalid("customerRegistrationId", "must be one that an answer had")
	}
	return h.answer(c, q)
}

// headerEncryptedEmail holds the address of the one user of an answer, as
// encryptedEmail takes it.
const headerEncryptedEmail = "X-Encrypted-Email"

func (h *Handlers) answer(c *api.Call, q lookup.Query) error {
	found, err := h.Lookup.Find(c.Context(), c.Caller.Organization, c.Caller.Org, q)
	if err != nil {
		return fmt.Errorf("look the user up: %w", err)
	}
	out := envelope{
		Message: success("S200_02", "Get completed."), Data: []shownUser{},
		Meta: meta{TotalRecords: len(found.Records), Degraded: found.Degraded},
	}
	for _, r := range found.Records {
		out.Data = append(out.Data, h.shown(c, r))
	}
	return c.JSON(http.StatusOK, out)
}

// shown returns a user as an answer shows them, and has it tell their encrypted address.
func (h *Handlers) shown(c *api.Call, r record.Record) shownUser {
	organization := c.Caller.Organization.ID
	c.Header().Set(headerEncryptedEmail, h.Lookup.EncryptEmail(organization, r.Email.Display()))
	return shownUser{
		ID: r.ID, EncryptedID: h.Lookup.EncryptID(organization, r.ID), Email: r.Email, FirstName: r.FirstName, LastName: r.LastName,
		State: r.State, Metadata: r.Metadata, Verified: r.Verified,
	}
}
