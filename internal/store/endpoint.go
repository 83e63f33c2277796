package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"usersync/internal/usersync"
)

// endpointRow is a row of webhook_endpoints.
type endpointRow struct {
	ID             string `gorm:"primaryKey"`
	OrganizationID string
	URL            string `gorm:"column:url"`
	EventTypes     string
	Description    string
	Signing        string
	Status         string
	DisabledReason string
	Secret         string
	OldSecret      string
	OldSecretUntil int64
	FailingSince   int64
	CreatedAt      int64 `gorm:"autoCreateTime:false"`
	UpdatedAt      int64 `gorm:"autoUpdateTime:false"`
}

func (endpointRow) TableName() string { return "webhook_endpoints" }

func secretPlace(id string) string { return "webhook_endpoints/" + id + "/secret" }

// overlaps reports whether the replaced secret still signs.
func (r endpointRow) overlaps() bool {
	return r.OldSecret != "" && time.Now().Before(at(r.OldSecretUntil))
}

func (r endpointRow) endpoint(seal Sealer) (usersync.Endpoint, error) {
	e := usersync.Endpoint{
		ID: r.ID, URL: r.URL, Description: r.Description, Signing: r.Signing, Status: r.Status, DisabledReason: r.DisabledReason, CreatedAt: stamp(r.CreatedAt),
		UpdatedAt: stamp(r.UpdatedAt), FailingSince: stamp(r.FailingSince),
	}
	if err := json.Unmarshal([]byte(r.EventTypes), &e.EventTypes); err != nil {
		return e, err
	}
	sealed := []string{r.Secret}
	if r.overlaps() {
		sealed = append(sealed, r.OldSecret)
		e.OldSecretUntil = stamp(r.OldSecretUntil)
	}
	for _, one := range sealed {
		plain, err := seal.Open(one, secretPlace(r.ID))
		if err != nil {
			return e, err
		}
		e.Secrets = append(e.Secrets, usersync.NewSecret(string(plain)))
	}
	return e, nil
}

// CreateEndpoint stores a new, enabled endpoint whose messages secret signs.
func (o *Org) CreateEndpoint(ctx context.Context, actor string, e usersync.Endpoint, secret usersync.Secret) (usersync.Endpoint, error) {
	types, err := json.Marshal(e.EventTypes)
	if err != nil {
		return e, err
	}
	id := usersync.NewID(usersync.PrefixEndpoint)
	sealed, err := o.sealer().Seal([]byte(secret.Reveal()), secretPlace(id))
	if err != nil {
		return e, err
	}
	now := micros(time.Now())
	row := endpointRow{ID: id, OrganizationID: o.ID(), URL: e.URL, EventTypes: string(types), Description: e.Description,
		Signing: cmp.Or(e.Signing, usersync.SigningSymmetric), Status: usersync.EndpointEnabled, Secret: sealed, CreatedAt: now, UpdatedAt: now}
	err = o.Tx(ctx, func(tx *Tx) error {
		if err := tx.GORM().Create(&row).Error; err != nil {
			return err
		}
		return tx.audit(ctx, o.ID(), actor, "webhook_endpoint.create", id, "url", "eventTypes", "description", "signing")
	})
	if err != nil {
		return e, err
	}
	return row.endpoint(o.sealer())
}

// Endpoints returns up to limit endpoints of the organization, newest first.
func (o *Org) Endpoints(ctx context.Context, before string, limit int) ([]usersync.Endpoint, error) {
	return o.endpoints(o.GORM(ctx).Where("organization_id = ?", o.ID()), before, limit)
}

func (o *Org) endpoints(query *gormDB, before string, limit int) ([]usersync.Endpoint, error) {
	var list []endpointRow
	if err := page(query, before, limit).Find(&list).Error; err != nil {
		return nil, classify(err)
	}
	out := make([]usersync.Endpoint, 0, len(list))
	for _, row := range list {
		e, err := row.endpoint(o.sealer())
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// ErrNoEndpoint is the refusal of an id that names no endpoint of the organization.
var ErrNoEndpoint = usersync.Errorf(usersync.CodeNotFound, "Webhook endpoint not found")

// Endpoint returns one endpoint.
func (o *Org) Endpoint(ctx context.Context, id string) (usersync.Endpoint, error) {
	var row endpointRow
	err := o.GORM(ctx).First(&row, "id = ? AND organization_id = ?", id, o.ID()).Error
	if notFound(err) {
		return usersync.Endpoint{}, ErrNoEndpoint
	}
	if err != nil {
		return usersync.Endpoint{}, classify(err)
	}
	return row.endpoint(o.sealer())
}

// UpdateEndpoint changes one endpoint under a lock, see UpdateOrganization.
func (o *Org) UpdateEndpoint(ctx context.Context, actor string, id string, change func(*usersync.Endpoint) ([]string, error)) (usersync.Endpoint, error) {
	return o.changeEndpoint(ctx, actor, "webhook_endpoint.update", id, change)
}

// EnableEndpoint has an endpoint take messages again, and forgets since when it
// has been failing.
func (o *Org) EnableEndpoint(ctx context.Context, actor, id string) (usersync.Endpoint, error) {
	return o.changeEndpoint(ctx, actor, "webhook_endpoint.enable", id, func(e *usersync.Endpoint) ([]string, error) {
		if e.Status == usersync.EndpointEnabled && e.FailingSince.IsZero() {
			return nil, nil
		}
		e.Status, e.DisabledReason, e.FailingSince = usersync.EndpointEnabled, "", usersync.Time{}
		return []string{"status", "disabledReason", "failingSince"}, nil
	})
}

func (o *Org) changeEndpoint(ctx context.Context, actor, action, id string, change func(*usersync.Endpoint) ([]string, error)) (out usersync.Endpoint, err error) {
	err = o.Tx(ctx, func(tx *Tx) error {
		row, err := tx.endpointRow(o.ID(), id)
		if err != nil {
			return err
		}
		if out, err = row.endpoint(o.sealer()); err != nil {
			return err
		}
		fields, err := change(&out)
		if err != nil || len(fields) == 0 {
			return err
		}
		types, err := json.Marshal(out.EventTypes)
		if err != nil {
			return err
		}
		out.UpdatedAt = usersync.Time{Time: time.Now().UTC()}
		values := map[string]any{
			"url": out.URL, "event_types": string(types), "description": out.Description, "status": out.Status,
			"disabled_reason": out.DisabledReason, "failing_since": micros(out.FailingSince.Time), "updated_at": micros(out.UpdatedAt.Time),
		}
		if !row.overlaps() {
			values["old_secret"], values["old_secret_until"] = "", 0
		}
		err = tx.GORM().Model(&row).Updates(values).Error
		if err != nil {
			return err
		}
		return tx.audit(ctx, o.ID(), actor, action, id, fields...)
	})
	return out, err
}

func (tx *Tx) endpointRow(organization, id string) (row endpointRow, err error) {
	err = tx.GORM().Clauses(tx.lock()...).First(&row, "id = ? AND organization_id = ?", id, organization).Error
	if notFound(err) {
		return row, ErrNoEndpoint
	}
	return row, err
}

// RotateSecret gives an endpoint a new secret. The present one signs beside it
// for usersync.SecretOverlap; one that was replaced before ends now.
func (o *Org) RotateSecret(ctx context.Context, actor, id string, make func(signing string) usersync.Secret) (e usersync.Endpoint, err error) {
	err = o.Tx(ctx, func(tx *Tx) error {
		row, err := tx.endpointRow(o.ID(), id)
		if err != nil {
			return err
		}
		sealed, err := o.sealer().Seal([]byte(make(row.Signing).Reveal()), secretPlace(id))
		if err != nil {
			return err
		}
		now := time.Now()
		row.OldSecret, row.OldSecretUntil = row.Secret, micros(now.Add(usersync.SecretOverlap))
		row.Secret, row.UpdatedAt = sealed, micros(now)
		err = tx.GORM().Model(&row).Select("secret", "old_secret", "old_secret_until", "updated_at").Updates(row).Error
		if err != nil {
			return err
		}
		if e, err = row.endpoint(o.sealer()); err != nil {
			return err
		}
		return tx.audit(ctx, o.ID(), actor, "webhook_endpoint.rotate_secret", id, "secret")
	})
	return e, err
}

// KeyedEndpoints returns up to limit endpoints of the organization that sign
// with a key pair, newest first.
func (o *Org) KeyedEndpoints(ctx context.Context, before string, limit int) ([]usersync.Endpoint, error) {
	return o.endpoints(o.GORM(ctx).Where("organization_id = ? AND signing = ?", o.ID(), usersync.SigningAsymmetric), before, limit)
}

// UseEndpoint runs fn in a transaction that holds the lock of an enabled
// endpoint, and notes in the audit log that actor did action to object.
func (o *Org) UseEndpoint(ctx context.Context, endpoint, actor, action, object string, fields []string, fn func(*Tx) error) error {
	return o.Tx(ctx, func(tx *Tx) error {
		state, err := tx.LockEndpoint(ctx, o.ID(), endpoint)
		if err != nil {
			return err
		}
		if state.Status != usersync.EndpointEnabled {
			return ErrEndpointDisabled
		}
		if err := fn(tx); err != nil {
			return err
		}
		return tx.audit(ctx, o.ID(), actor, action, object, fields...)
	})
}

// ErrEndpointDisabled is the refusal to send to an endpoint that is disabled.
var ErrEndpointDisabled = usersync.Errorf(usersync.CodeConflict, "The webhook endpoint is disabled; enable it first.")

// DeleteEndpoint removes an endpoint and enqueues what is to be done about the
// deliveries that wait for it.
func (o *Org) DeleteEndpoint(ctx context.Context, actor, id string, then ...usersync.Task) error {
	return o.Tx(ctx, func(tx *Tx) error {
		row, err := tx.endpointRow(o.ID(), id)
		if err != nil {
			return err
		}
		if err := tx.GORM().Delete(&row).Error; err != nil {
			return err
		}
		if err := tx.Enqueue(ctx, then...); err != nil {
			return err
		}
		return tx.audit(ctx, o.ID(), actor, "webhook_endpoint.delete", id)
	})
}

var enabledEndpointsStatement = define(`
SELECT id, event_types FROM webhook_endpoints WHERE organization_id = $1 AND status = 'enabled' ORDER BY id`)

// Subscriptions returns the enabled endpoints of an organization with what
// they want, without their secrets.
func (tx *Tx) Subscriptions(ctx context.Context, organization string) ([]usersync.Endpoint, error) {
	return collect(ctx, tx.conn, enabledEndpointsStatement, nil, func(scan func(...any) error) (e usersync.Endpoint, err error) {
		var types string
		err = scan(&e.ID, &types)
		e.Status = usersync.EndpointEnabled
		return e, errors.Join(err, json.Unmarshal([]byte(types), &e.EventTypes))
	}, organization)
}

// EndpointState is a locked endpoint, without its secrets.
type EndpointState struct {
	ID           string
	URL          string
	Status       string
	FailingSince time.Time
	// Now is the database's time when the lock was taken.
	Now time.Time
}

var lockEndpointStatement = define(`
SELECT id, url, status, failing_since, {now} FROM webhook_endpoints WHERE id = $2 AND organization_id = $1 {for update}`)

// LockEndpoint locks an endpoint until the transaction ends: before the claim
// of a delivery's task and before deliveries.
func (tx *Tx) LockEndpoint(ctx context.Context, organization, id string) (e EndpointState, err error) {
	var failing, now int64
	err = tx.row(ctx, lockEndpointStatement, organization, id).Scan(&e.ID, &e.URL, &e.Status, &failing, &now)
	e.FailingSince, e.Now = at(failing), at(now)
	if errors.Is(err, sql.ErrNoRows) {
		return e, ErrNoEndpoint
	}
	return e, classify(err)
}

var healthStatement = define(`
UPDATE webhook_endpoints SET failing_since = CASE WHEN $3 = 1 THEN {now} ELSE 0 END
WHERE id = $2 AND organization_id = $1 AND ($3 = 1) <> (failing_since > 0)`)

// NoteHealth keeps since when an endpoint has been failing. It writes nothing
// where nothing changes.
//
//lint:flag failing is what was observed, and is stored
func (tx *Tx) NoteHealth(ctx context.Context, organization, endpoint string, failing bool) error {
	flag := 0
	if failing {
		flag = 1
	}
	return tx.later(ctx, healthStatement, nil, nil, organization, endpoint, flag)
}

var disableEndpointStatement = define(`
UPDATE webhook_endpoints SET status = 'disabled', disabled_reason = $3, updated_at = {now} WHERE id = $2 AND organization_id = $1`)

// deliverer is who the audit log says disabled an endpoint that cannot be reached.
const deliverer = "delivery"

// DisableEndpoint disables an endpoint that its owner did not disable.
func (tx *Tx) DisableEndpoint(ctx context.Context, organization, id, reason string) error {
	if err := tx.later(ctx, disableEndpointStatement, nil, nil, organization, id, reason); err != nil {
		return err
	}
	return tx.audit(ctx, organization, deliverer, "webhook_endpoint.disable", id, "status", "disabledReason")
}
