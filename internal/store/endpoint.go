package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"gorm.io/gorm"

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

func (r endpointRow) endpoint(seal Sealer) (usersync.Endpoint, error) {
	e := usersync.Endpoint{
		ID: r.ID, URL: r.URL, Description: r.Description, Signing: r.Signing, Status: r.Status, DisabledReason: r.DisabledReason, CreatedAt: stamp(r.CreatedAt),
		UpdatedAt: stamp(r.UpdatedAt), FailingSince: stamp(r.FailingSince),
	}
	if err := json.Unmarshal([]byte(r.EventTypes), &e.EventTypes); err != nil {
		return e, err
	}
	sealed := []string{r.Secret}
	if r.OldSecret != "" && time.Now().Before(at(r.OldSecretUntil)) {
		sealed = append(sealed, r.OldSecret)
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
	sealed, err := o.store.seal.Seal([]byte(secret.Reveal()), secretPlace(id))
	if err != nil {
		return e, err
	}
	now := micros(time.Now())
	row := endpointRow{ID: id, OrganizationID: o.id, URL: e.URL, EventTypes: string(types), Description: e.Description,
		Signing: cmp.Or(e.Signing, usersync.SigningSymmetric), Status: usersync.EndpointEnabled, Secret: sealed, CreatedAt: now, UpdatedAt: now}
	err = o.store.Tx(ctx, func(tx *Tx) error {
		if err := tx.gorm.Create(&row).Error; err != nil {
			return err
		}
		return tx.audit(ctx, o.id, actor, "webhook_endpoint.create", id, "url", "eventTypes", "description")
	})
	if err != nil {
		return e, err
	}
	return row.endpoint(o.store.seal)
}

// Endpoints returns up to limit endpoints of the organization, newest first.
func (o *Org) Endpoints(ctx context.Context, before string, limit int) ([]usersync.Endpoint, error) {
	var list []endpointRow
	err := page(o.store.read.WithContext(ctx).Where("organization_id = ?", o.id), before, limit).Find(&list).Error
	if err != nil {
		return nil, classify(err)
	}
	out := make([]usersync.Endpoint, 0, len(list))
	for _, row := range list {
		e, err := row.endpoint(o.store.seal)
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
	err := o.store.read.WithContext(ctx).First(&row, "id = ? AND organization_id = ?", id, o.id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return usersync.Endpoint{}, ErrNoEndpoint
	}
	if err != nil {
		return usersync.Endpoint{}, classify(err)
	}
	return row.endpoint(o.store.seal)
}

// UpdateEndpoint changes one endpoint under a lock, see UpdateOrganization.
func (o *Org) UpdateEndpoint(ctx context.Context, actor string, id string, change func(*usersync.Endpoint) ([]string, error)) (out usersync.Endpoint, err error) {
	err = o.store.Tx(ctx, func(tx *Tx) error {
		row, err := tx.endpointRow(o.id, id)
		if err != nil {
			return err
		}
		if out, err = row.endpoint(o.store.seal); err != nil {
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
		err = tx.gorm.Model(&row).Updates(map[string]any{
			"url": out.URL, "event_types": string(types), "description": out.Description, "status": out.Status,
			"failing_since": micros(out.FailingSince.Time), "updated_at": micros(out.UpdatedAt.Time),
		}).Error
		if err != nil {
			return err
		}
		return tx.audit(ctx, o.id, actor, "webhook_endpoint.update", id, fields...)
	})
	return out, err
}

func (tx *Tx) endpointRow(organization, id string) (row endpointRow, err error) {
	err = tx.gorm.Clauses(tx.lock()...).First(&row, "id = ? AND organization_id = ?", id, organization).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, ErrNoEndpoint
	}
	return row, err
}

// DeleteEndpoint removes an endpoint. Deliveries that wait for it end failed.
func (o *Org) DeleteEndpoint(ctx context.Context, actor, id string) error {
	return o.store.Tx(ctx, func(tx *Tx) error {
		row, err := tx.endpointRow(o.id, id)
		if err != nil {
			return err
		}
		if err := tx.gorm.Delete(&row).Error; err != nil {
			return err
		}
		return tx.audit(ctx, o.id, actor, "webhook_endpoint.delete", id)
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

var healthStatement = define(`
UPDATE webhook_endpoints SET failing_since = CASE WHEN $2 = 1 THEN CASE WHEN failing_since = 0 THEN {now} ELSE failing_since END ELSE 0 END,
    status = CASE WHEN $3 = 1 THEN 'disabled' ELSE status END
WHERE id = $1 AND (($2 = 1) <> (failing_since > 0) OR $3 = 1)`)

// NoteHealth keeps since when an endpoint has been failing, and disables it
// when gone. It writes nothing where nothing changes.
func (tx *Tx) NoteHealth(ctx context.Context, endpoint string, failing, gone bool) error {
	_, err := tx.exec(ctx, healthStatement, nil, endpoint, flag(failing), flag(gone))
	return err
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
