package manage

import (
	"net/http"

	"usersync/internal/api"
	"usersync/internal/erasure"
	"usersync/internal/usersync"
)

// subject is who is to be erased.
type subject struct {
	Email string `json:"email"`
}

func (h *Handlers) createErasure(c *api.Call) error {
	in, err := decode[subject](c)
	if err != nil {
		return err
	}
	e, err := h.Management.EraseEmail(c.Context(), c.Actor, c.Caller.Org, c.Caller.Organization.Salt, in.Email)
	return answerErasure(c, e, err)
}

// answerErasure answers with an erasure that has begun.
func answerErasure(c *api.Call, e erasure.Erasure, err error) error {
	return accepted(c, "/v1/erasures/"+e.ID, e, err)
}

func (h *Handlers) listErasures(c *api.Call) error {
	return ownPage(c, usersync.PrefixErasure, h.Management.ListErasures, func(e erasure.Erasure) string { return e.ID })
}

func (h *Handlers) getErasure(c *api.Call) error {
	e, err := h.Management.GetErasure(c.Context(), c.Caller.Org, c.Param("id"))
	return c.Answer(http.StatusOK, e, err)
}
