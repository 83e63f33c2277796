package manage

import (
	"fmt"

	"usersync/internal/api"
	"usersync/internal/delivery"
	"usersync/internal/management"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// endpointBody is a webhook endpoint with what verifies its messages: the secret
// or the public key. The secret is in clear when it is made and masked in every
// later answer.
type endpointBody struct {
	delivery.Endpoint
	Secret    string `json:"secret,omitempty"`
	PublicKey string `json:"publicKey,omitempty"`
}

// newEndpointBody converts an endpoint; secret says how its secret is shown.
func newEndpointBody(e delivery.Endpoint, secret func(usersync.Secret) string) (body endpointBody, err error) {
	body.Endpoint = e
	if e.Signing != delivery.SigningAsymmetric {
		body.Secret = secret(e.Secrets[0])
		return body, nil
	}
	if body.PublicKey, err = webhooksig.PublicKey(e.Secrets[0]); err != nil {
		return body, fmt.Errorf("derive the public key: %w", err)
	}
	return body, nil
}

// viewOfEndpoint returns an endpoint with its secret masked.
func viewOfEndpoint(e delivery.Endpoint) (endpointBody, error) {
	return newEndpointBody(e, usersync.Secret.Masked)
}

// revealedEndpoint returns an endpoint with its new secret in clear.
func revealedEndpoint(e delivery.Endpoint) (endpointBody, error) {
	return newEndpointBody(e, usersync.Secret.Reveal)
}

func (h *Handlers) createEndpoint(c *api.Call) error {
	in, err := decode[management.EndpointInput](c)
	if err != nil {
		return err
	}
	e, _, err := h.Management.CreateEndpoint(c.Context(), c.Actor, c.Caller.Org, in)
	body, err := convert(e, err, revealedEndpoint)
	return created(c, "/v1/webhook-endpoints/"+e.ID, body, err)
}

func (h *Handlers) listEndpoints(c *api.Call) error {
	return ownPage(c, usersync.PrefixEndpoint, views(h.Management.ListEndpoints, viewOfEndpoint), func(e endpointBody) string { return e.ID })
}

func (h *Handlers) getEndpoint(c *api.Call) error {
	e, err := h.Management.GetEndpoint(c.Context(), c.Caller.Org, c.Param("id"))
	return answerView(c, e, err, viewOfEndpoint)
}

func (h *Handlers) updateEndpoint(c *api.Call) error {
	in, err := decode[management.EndpointInput](c)
	if err != nil {
		return err
	}
	e, err := h.Management.UpdateEndpoint(c.Context(), c.Actor, c.Caller.Org, c.Param("id"), in)
	return answerView(c, e, err, viewOfEndpoint)
}

func (h *Handlers) deleteEndpoint(c *api.Call) error {
	return removed(c, h.Management.DeleteEndpoint(c.Context(), c.Actor, c.Caller.Org, c.Param("id")))
}

func (h *Handlers) rotateEndpointSecret(c *api.Call) error {
	e, err := h.Management.RotateSecret(c.Context(), c.Actor, c.Caller.Org, c.Param("id"))
	return answerView(c, e, err, revealedEndpoint)
}

func (h *Handlers) enableEndpoint(c *api.Call) error {
	e, err := h.Management.EnableEndpoint(c.Context(), c.Actor, c.Caller.Org, c.Param("id"))
	return answerView(c, e, err, viewOfEndpoint)
}

func (h *Handlers) testEndpoint(c *api.Call) error {
	d, err := h.Management.TestEndpoint(c.Context(), c.Actor, c.Caller.Org, c.Param("id"), c.Traceparent())
	return answerNewDelivery(c, d, err)
}

// webhookKeyBody is a public key whose signatures are to be accepted.
type webhookKeyBody struct {
	EndpointID string `json:"endpointId"`
	Key        string `json:"key"`
	// Current says that it is the endpoint's key; the one that it replaced
	// signs until ValidUntil.
	Current    bool          `json:"current"`
	ValidUntil usersync.Time `json:"validUntil,omitzero"`
}

// listWebhookKeys answers with the public keys of a page of endpoints.
func (h *Handlers) listWebhookKeys(c *api.Call) error {
	p, err := c.Page(usersync.PrefixEndpoint)
	if err != nil {
		return fmt.Errorf("read which page is asked for: %w", err)
	}
	load := func(before string, limit int) ([]delivery.Endpoint, error) {
		return h.Management.ListKeyedEndpoints(c.Context(), c.Caller.Org, before, limit)
	}
	return api.AnswerListOf(c, p, load, func(e delivery.Endpoint) string { return e.ID }, newWebhookKeyBodies)
}

func newWebhookKeyBodies(e delivery.Endpoint) ([]webhookKeyBody, error) {
	out := make([]webhookKeyBody, len(e.Secrets))
	for i, private := range e.Secrets {
		public, err := webhooksig.PublicKey(private)
		if err != nil {
			return nil, fmt.Errorf("derive the public key: %w", err)
		}
		out[i] = webhookKeyBody{EndpointID: e.ID, Key: public, Current: i == 0}
		if i > 0 {
			out[i].ValidUntil = e.OldSecretUntil
		}
	}
	return out, nil
}
