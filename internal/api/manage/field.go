package manage

import (
	"net/http"

	"usersync/internal/api"
	"usersync/internal/connector/ability"
	"usersync/internal/management/fields"
)

// fieldsBody has all fields on one page: who maps them wants to see all.
type fieldsBody struct {
	Items      []ability.Field `json:"items"`
	NextCursor string          `json:"nextCursor"`
}

func (h *Handlers) listFields(c *api.Call) error {
	list, err := h.Fields.List(c.Context(), c.Caller.Org, c.Param("id"))
	return c.Answer(http.StatusOK, fieldsBody{Items: append([]ability.Field{}, list...)}, err)
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
