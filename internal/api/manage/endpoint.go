package manage

import (
	"net/http"

	"usersync/internal/admin"
	"usersync/internal/api"
	"usersync/internal/usersync"
)

// endpoint is a webhook endpoint with its secret: in clear when it is made,
// masked ever after.
type endpoint struct {
	usersync.Endpoint
	Secret string `json:"secret"`
}

func masked(e usersync.Endpoint) endpoint {
	secret := ""
	if len(e.Secrets) > 0 {
		secret = e.Secrets[0].Masked()
	}
	return endpoint{e, secret}
}

func (o Options) createEndpoint(c *api.Call) error {
	var in admin.EndpointInput
	if err := c.Decode(&in); err != nil {
		return err
	}
	e, secret, err := o.Admin.CreateEndpoint(c.Context(), c.Actor, c.Caller.Org, in)
	if err != nil {
		return err
	}
	return created(c, "/v1/webhook-endpoints/"+e.ID, endpoint{e, secret.Reveal()})
}

func (o Options) listEndpoints(c *api.Call) error {
	load := func(before string, limit int) ([]endpoint, error) {
		list, err := c.Caller.Org.Endpoints(c.Context(), before, limit)
		out := make([]endpoint, 0, len(list))
		for _, e := range list {
			out = append(out, masked(e))
		}
		return out, err
	}
	return page(c, usersync.PrefixEndpoint, load, func(e endpoint) string { return e.ID })
}

func (o Options) showEndpoint(c *api.Call) error {
	e, err := c.Caller.Org.Endpoint(c.Context(), c.Param("id"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, masked(e))
}

func (o Options) updateEndpoint(c *api.Call) error {
	var in admin.EndpointInput
	if err := c.Decode(&in); err != nil {
		return err
	}
	e, err := o.Admin.UpdateEndpoint(c.Context(), c.Actor, c.Caller.Org, c.Param("id"), in)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, masked(e))
}

func deleteEndpoint(c *api.Call) error {
	if err := c.Caller.Org.DeleteEndpoint(c.Context(), c.Actor, c.Param("id")); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
