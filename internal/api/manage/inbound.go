package manage

import (
	"fmt"
	"net/http"

	"usersync/internal/api"
	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// inboundLimit bounds what a platform tells in one call, in bytes: SendGrid sends up to a
// few thousand events.
const inboundLimit = 4 << 20

// inboundTypes are the media types that platforms send.
var inboundTypes = []string{"application/json", "application/x-www-form-urlencoded"}

// inbound returns the routes that platforms call. Who knows a secret address may.
func (h *Handlers) inbound() api.Dialect {
	const path = "/v1/connections/:id/inbound/:secret"
	return api.Dialect{
		Name: "inbound", Auth: h.authenticatePlatform,
		Routes: []api.Route{
			{Method: http.MethodPost, Path: path, Summary: "Takes what a connection's platform tells by a webhook.", MediaTypes: inboundTypes, BodyLimit: inboundLimit, Handler: h.receive},
			{Method: http.MethodGet, Path: path, Summary: "Says that the address is right, as platforms ask before they use it.", Handler: h.greetPlatform},
		},
	}
}

// platformActor is who makes a platform's calls.
const platformActor = "inbound"

func (h *Handlers) authenticatePlatform(c *api.Call) error {
	organization, org, err := h.Management.Knock(c.Context(), c.Param("id"), usersync.NewSecret(c.Param("secret")))
	if err != nil {
		return fmt.Errorf("find the address: %w", err)
	}
	return c.Admit(organization, org, platformActor)
}

func (h *Handlers) receive(c *api.Call) error {
	body, err := c.Body()
	if err != nil {
		return fmt.Errorf("read the body: %w", err)
	}
	r := c.Request()
	call := connector.InboundCall{Method: r.Method, URLs: addressesOf(r), Header: r.Header, Body: body}
	received, err := h.Management.Receive(c.Context(), c.Caller.Org, c.Param("id"), call)
	return c.Answer(http.StatusOK, received, err)
}

// addressesOf returns the addresses that a caller may have used: this service may stand
// behind a server that speaks TLS for it and has another name.
func addressesOf(r *http.Request) (out []string) {
	for _, host := range []string{r.Host, r.Header.Get("X-Forwarded-Host")} {
		if host == "" {
			continue
		}
		for _, scheme := range []string{"https://", "http://"} {
			out = append(out, scheme+host+r.URL.RequestURI())
		}
	}
	return out
}

func (h *Handlers) greetPlatform(c *api.Call) error {
	return c.JSON(http.StatusOK, struct {
		Success bool `json:"success"`
	}{true})
}

func (h *Handlers) openInbound(c *api.Call) error {
	address, err := h.Management.OpenInbound(c.Context(), c.Actor, c.Caller.Org, c.Param("id"))
	return c.Answer(http.StatusCreated, address, err)
}

func (h *Handlers) closeInbound(c *api.Call) error {
	return removed(c, h.Management.CloseInbound(c.Context(), c.Actor, c.Caller.Org, c.Param("id")))
}
