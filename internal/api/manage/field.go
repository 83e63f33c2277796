package manage

import (
	"net/http"

	"usersync/internal/api"
	"usersync/internal/connector/ability"
	"usersync/internal/management/fields"
)

func (h *Handlers) listFields(c *api.Call) error {
	list, err := h.Fields.List(c.Context(), c.Caller.Org, c.Param("id"))
	return c.Answer(http.StatusOK, onePage[ability.Field]{Items: append([]ability.Field{}, list...)}, err)
}

// createField answers 200 where the platform has the field already.
func (h *Handlers) createField(c *api.Call) error {
	in, err := decode[fields.Input](c)
	if err != nil {
		return err
	}
	made, isNew, err := h.Fields.Make(c.Context(), c.Actor, c.Caller.Org, c.Param("id"), in)
	if err != nil || !isNew {
		return c.Answer(http.StatusOK, made, err)
	}
	return c.Answer(http.StatusCreated, made, nil)
}
