package manage

import (
	"net/http"

	"usersync/internal/api"
	"usersync/internal/delivery"
	"usersync/internal/management"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// endpoint is a webhook endpoint with what verifies its messages: the secret,
// in clear when it is made and masked ever after, or the public key.
type endpoint struct {
	delivery.Endpoint
	Secret    string `json:"secret,omitempty"`
	PublicKey string `json:"publicKey,omitempty"`
}

// masked shows an endpoint without its secret.
func masked(e delivery.Endpoint) (endpoint, error) { return show(e, usersync.Secret.Masked) }

// revealed shows an endpoint with its new secret: the only time.
func revealed(e delivery.Endpoint) (endpoint, error) { return show(e, usersync.Secret.Reveal) }

func show(e delivery.Endpoint, secret func(usersync.Secret) string) (out endpoint, err error) {
	out.Endpoint = e
	if e.Signing == delivery.SigningAsymmetric {
		out.PublicKey, err = webhooksig.PublicKey(e.Secrets[0])
		return out, err
	}
	out.Secret = secret(e.Secrets[0])
	return out, nil
}

// answerMasked answers with an endpoint without its secret.
func answerMasked(c *api.Call, e delivery.Endpoint, err error) error {
	if err != nil {
		return err
	}
	shown, err := masked(e)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, shown)
}

func (o Options) createEndpoint(c *api.Call) error {
	var in management.EndpointInput
	if err := c.Decode(&in); err != nil {
		return err
	}
	e, _, err := o.Admin.CreateEndpoint(c.Context(), c.Actor, c.Caller.Org, in)
	if err != nil {
		return err
	}
	shown, err := revealed(e)
	if err != nil {
		return err
	}
	return created(c, "/v1/webhook-endpoints/"+e.ID, shown)
}

func (o Options) listEndpoints(c *api.Call) error {
	load := func(before string, limit int) ([]endpoint, error) {
		list, err := delivery.ListEndpoints(c.Context(), c.Caller.Org, before, limit)
		out := make([]endpoint, len(list))
		for i, e := range list {
			if out[i], err = masked(e); err != nil {
				return nil, err
			}
		}
		return out, err
	}
	return page(c, usersync.PrefixEndpoint, load, func(e endpoint) string { return e.ID })
}

func (o Options) showEndpoint(c *api.Call) error {
	e, err := delivery.GetEndpoint(c.Context(), c.Caller.Org, c.Param("id"))
	return answerMasked(c, e, err)
}

func (o Options) updateEndpoint(c *api.Call) error {
	var in management.EndpointInput
	if err := c.Decode(&in); err != nil {
		return err
	}
	e, err := o.Admin.UpdateEndpoint(c.Context(), c.Actor, c.Caller.Org, c.Param("id"), in)
	return answerMasked(c, e, err)
}

func (o Options) deleteEndpoint(c *api.Call) error {
	if err := o.Admin.DeleteEndpoint(c.Context(), c.Actor, c.Caller.Org, c.Param("id")); err != nil {
		return err
	}
	o.Wake()
	return c.NoContent(http.StatusNoContent)
}

func (o Options) rotateSecret(c *api.Call) error {
	if err := c.Decode(new(nothing)); err != nil {
		return err
	}
	e, err := o.Admin.RotateSecret(c.Context(), c.Actor, c.Caller.Org, c.Param("id"))
	if err != nil {
		return err
	}
	shown, err := revealed(e)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, shown)
}

func enableEndpoint(c *api.Call) error {
	if err := c.Decode(new(nothing)); err != nil {
		return err
	}
	e, err := delivery.EnableEndpoint(c.Context(), c.Caller.Org, c.Actor, c.Param("id"))
	return answerMasked(c, e, err)
}

// webhookKey is a public key whose signatures are to be taken.
type webhookKey struct {
	EndpointID string `json:"endpointId"`
	Key        string `json:"key"`
	// Current says that it is the endpoint's key; the one that it replaced
	// signs until ValidUntil.
	Current    bool          `json:"current"`
	ValidUntil usersync.Time `json:"validUntil,omitzero"`
}

// listWebhookKeys answers with the public keys of a page of endpoints.
func listWebhookKeys(c *api.Call) error {
	p, err := c.Page(usersync.PrefixEndpoint)
	if err != nil {
		return err
	}
	endpoints, err := delivery.KeyedEndpoints(c.Context(), c.Caller.Org, p.Before, p.Limit+1)
	if err != nil {
		return err
	}
	some := api.NewList(p, endpoints, func(e delivery.Endpoint) string { return e.ID })
	out := api.List[webhookKey]{Items: []webhookKey{}, NextCursor: some.NextCursor}
	for _, e := range some.Items {
		for i, private := range e.Secrets {
			public, err := webhooksig.PublicKey(private)
			if err != nil {
				return err
			}
			key := webhookKey{EndpointID: e.ID, Key: public, Current: i == 0}
			if i > 0 {
				key.ValidUntil = e.OldSecretUntil
			}
			out.Items = append(out.Items, key)
		}
	}
	return c.JSON(http.StatusOK, out)
}
