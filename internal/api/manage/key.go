package manage

import (
	"net/http"
	"time"

	"usersync/internal/api"
	"usersync/internal/management"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

func (o Options) createKey(c *api.Call) error {
	var in management.KeyInput
	if err := c.Decode(&in); err != nil {
		return err
	}
	k, secret, err := o.Admin.CreateKey(c.Context(), c.Actor, c.Param("id"), in)
	if err != nil {
		return err
	}
	return madeKey(c, k, secret)
}

// newKey is the answer that shows a new key itself. Every other answer shows a
// usersync.Key, whose hint stands in the place of the key.
type newKey struct {
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Key       string         `json:"key"` // the key itself, as the client is to send it
	Scopes    []tenant.Scope `json:"scopes"`
	CreatedAt usersync.Time  `json:"createdAt"`
	ExpiresAt usersync.Time  `json:"expiresAt,omitzero"`
}

// madeKey answers with a new key: the only time that the key itself is shown.
func madeKey(c *api.Call, k tenant.Key, secret usersync.Secret) error {
	answer := newKey{ID: k.ID, Name: k.Name, Key: secret.Reveal(), Scopes: k.Scopes, CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt}
	return created(c, "/admin/v1/organizations/"+k.Organization+"/api-keys/"+k.ID, answer)
}

func (o Options) listKeys(c *api.Call) error {
	org, err := o.organization(c)
	if err != nil {
		return err
	}
	load := func(before string, limit int) ([]tenant.Key, error) {
		return tenant.ListKeys(c.Context(), org, before, limit)
	}
	return page(c, usersync.PrefixKey, load, func(k tenant.Key) string { return k.ID })
}

func (o Options) showKey(c *api.Call) error {
	k, err := tenant.GetKey(c.Context(), o.Admin.Store.Org(c.Param("id")), c.Param("keyId"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, k)
}

func (o Options) revokeKey(c *api.Call) error {
	if _, err := o.Admin.RevokeKey(c.Context(), c.Actor, c.Param("id"), c.Param("keyId")); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
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

func (o Options) rotateKey(c *api.Call) error {
	var in rotation
	if err := c.Decode(&in); err != nil {
		return err
	}
	overlap, err := in.overlap()
	if err != nil {
		return err
	}
	k, secret, err := o.Admin.RotateKey(c.Context(), c.Actor, c.Param("id"), c.Param("keyId"), overlap)
	if err != nil {
		return err
	}
	return madeKey(c, k, secret)
}
