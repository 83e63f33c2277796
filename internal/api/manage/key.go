package manage

import (
	"fmt"
	"net/http"
	"time"

	"usersync/internal/api"
	"usersync/internal/management"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// newKeyBody is the answer that shows a new key itself. Every other answer shows
// a tenant.Key, whose hint stands in the place of the key.
type newKeyBody struct {
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Key       string         `json:"key"` // the key itself, as the client is to send it
	Scopes    []tenant.Scope `json:"scopes"`
	CreatedAt usersync.Time  `json:"createdAt"`
	ExpiresAt usersync.Time  `json:"expiresAt,omitzero"`
}

// answerNewKey answers with a new key. No later answer shows the key itself.
func answerNewKey(c *api.Call, k tenant.Key, secret usersync.Secret, err error) error {
	body := newKeyBody{ID: k.ID, Name: k.Name, Key: secret.Reveal(), Scopes: k.Scopes, CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt}
	return created(c, "/admin/v1/organizations/"+k.Organization+"/api-keys/"+k.ID, body, err)
}

func (h *Handlers) createKey(c *api.Call) error {
	in, err := decode[management.KeyInput](c)
	if err != nil {
		return err
	}
	k, secret, err := h.Management.CreateKey(c.Context(), c.Actor, c.Param("id"), in)
	return answerNewKey(c, k, secret, err)
}

func (h *Handlers) listKeys(c *api.Call) error {
	load := func(before string, limit int) ([]tenant.Key, error) {
		return h.Management.ListKeys(c.Context(), c.Param("id"), before, limit)
	}
	return page(c, usersync.PrefixKey, load, func(k tenant.Key) string { return k.ID })
}

func (h *Handlers) getKey(c *api.Call) error {
	k, err := h.Management.GetKey(c.Context(), c.Param("id"), c.Param("keyId"))
	return c.Answer(http.StatusOK, k, err)
}

func (h *Handlers) revokeKey(c *api.Call) error {
	_, err := h.Management.RevokeKey(c.Context(), c.Actor, c.Param("id"), c.Param("keyId"))
	return removed(c, err)
}

// rotation is what an operator says of replacing a key.
type rotation struct {
	// Overlap is a duration like 24h; nil is management.DefaultOverlap.
	Overlap *string `json:"overlap"`
}

func (r rotation) overlap() (time.Duration, error) {
	if r.Overlap == nil {
		return management.DefaultOverlap, nil
	}
	d, err := time.ParseDuration(*r.Overlap)
	if err != nil {
		return 0, api.Invalid("overlap", "must be a duration like 24h or 90m")
	}
	return d, nil
}

func (h *Handlers) rotateKey(c *api.Call) error {
	in, err := decode[rotation](c)
	if err != nil {
		return err
	}
	overlap, err := in.overlap()
	if err != nil {
		return fmt.Errorf("read the overlap: %w", err)
	}
	k, secret, err := h.Management.RotateKey(c.Context(), c.Actor, c.Param("id"), c.Param("keyId"), overlap)
	return answerNewKey(c, k, secret, err)
}
