package delivery

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"usersync/internal/audit"
	"usersync/internal/outbox"
	"usersync/internal/store"
	"usersync/internal/tenant"
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
	Version        int64 // see Endpoint
}

func (endpointRow) TableName() string { return "webhook_endpoints" }

// SecretPlace names where the sealed secret of an organization's endpoint is kept, for
// store.Sealer.
func SecretPlace(organization, id string) string {
	return "webhook_endpoints/" + organization + "/" + id + "/secret"
}

// endpoint opens the row's secrets. now tells the database's time, and is asked only
// where a secret was replaced.
func (r endpointRow) endpoint(seal store.Sealer, now func() (time.Time, error)) (e Endpoint, err error) {
	e = Endpoint{
		ID: r.ID, URL: r.URL, Description: r.Description, Signing: r.Signing, Status: r.Status, DisabledReason: r.DisabledReason, CreatedAt: store.Stamp(r.CreatedAt),
		UpdatedAt: store.Stamp(r.UpdatedAt), FailingSince: store.Stamp(r.FailingSince),
		version: r.Version,
	}
	if err := json.Unmarshal([]byte(r.EventTypes), &e.EventTypes); err != nil {
		return e, fmt.Errorf("decode the event types of endpoint %q: %w", r.ID, err)
	}
	sealed := []string{r.Secret}
	if r.OldSecret != "" {
		at, err := now()
		if err != nil {
			return e, fmt.Errorf("ask how long the old secret signs: %w", err)
		}
		e.oldSecretFor = store.At(r.OldSecretUntil).Sub(at)
	}
	if e.oldSecretFor > 0 {
		sealed = append(sealed, r.OldSecret)
		e.OldSecretUntil = store.Stamp(r.OldSecretUntil)
	}
	for _, one := range sealed {
		plain, err := seal.Open(one, SecretPlace(r.OrganizationID, r.ID))
		if err != nil {
			return e, fmt.Errorf("open the sealed secret of endpoint %q: %w", r.ID, err)
		}
		e.Secrets = append(e.Secrets, usersync.NewSecret(string(plain)))
	}
	return e, nil
}

var endpointCount = tenant.Count{
	Of:    store.Define("delivery.countEndpoints", `SELECT count(*) FROM webhook_endpoints WHERE organization_id = $1`),
	Limit: func(l tenant.Limits) int { return l.WebhookEndpoints }, Setting: "webhookEndpoints", Noun: "webhook endpoints",
}

// CreateEndpoint stores a new, enabled endpoint whose messages secret signs. It returns a
// conflict where the organization has as many as it may have.
func CreateEndpoint(ctx context.Context, o *store.Org, actor string, e Endpoint, secret usersync.Secret) (Endpoint, error) {
	types, err := json.Marshal(e.EventTypes)
	if err != nil {
		return e, fmt.Errorf("encode the event types: %w", err)
	}
	id := usersync.NewID(usersync.PrefixEndpoint)
	sealed, err := o.Sealer().Seal([]byte(secret.Reveal()), SecretPlace(o.ID(), id))
	if err != nil {
		return e, fmt.Errorf("seal the secret: %w", err)
	}
	now := store.Micros(time.Now()) //lint:clock a stamp
	row := endpointRow{ID: id, OrganizationID: o.ID(), URL: e.URL, EventTypes: string(types), Description: e.Description,
		Signing: cmp.Or(e.Signing, SigningSymmetric), Status: EndpointEnabled, Secret: sealed, CreatedAt: now, UpdatedAt: now, Version: 1}
	err = o.Tx(ctx, func(tx *store.Tx) error {
		if err := tenant.MakeRoom(ctx, tx, o.ID(), endpointCount); err != nil {
			return err
		}
		if err := tx.GORM().Create(&row).Error; err != nil {
			return fmt.Errorf("store the endpoint: %w", err)
		}
		return audit.Record(ctx, tx, o.ID(), actor, "webhook_endpoint.create", id, "url", "eventTypes", "description", "signing")
	})
	if err != nil {
		return e, err
	}
	return row.endpoint(o.Sealer(), func() (time.Time, error) { return o.Now(ctx) })
}

// ListEndpoints returns up to limit endpoints of the organization, newest first.
func ListEndpoints(ctx context.Context, o *store.Org, before string, limit int) ([]Endpoint, error) {
	return pageEndpoints(ctx, o, o.GORM(ctx).Where("organization_id = ?", o.ID()), before, limit)
}

func pageEndpoints(ctx context.Context, o *store.Org, query *store.GORMQuery, before string, limit int) ([]Endpoint, error) {
	now := sync.OnceValues(func() (time.Time, error) { return o.Now(ctx) }) // once for all
	return store.Page(query, before, limit, func(row endpointRow) (Endpoint, error) { return row.endpoint(o.Sealer(), now) })
}

// ErrNoEndpoint is the refusal of an id that names no endpoint of the organization.
var ErrNoEndpoint = usersync.Errorf(usersync.CodeNotFound, "Webhook endpoint not found")

// GetEndpoint returns one endpoint.
func GetEndpoint(ctx context.Context, o *store.Org, id string) (Endpoint, error) {
	row, err := loadEndpointRow(o.GORM(ctx), o.ID(), id)
	if err != nil {
		return Endpoint{}, err
	}
	return row.endpoint(o.Sealer(), func() (time.Time, error) { return o.Now(ctx) })
}

// UpdateEndpoint changes one endpoint under a lock: change returns the names of the
// fields that it changed, for the audit log.
func UpdateEndpoint(ctx context.Context, o *store.Org, actor string, id string, change func(*Endpoint) ([]string, error)) (Endpoint, error) {
	return changeEndpoint(ctx, o, actor, "webhook_endpoint.update", id, change)
}

// EnableEndpoint has an endpoint take messages again, and forgets since when it
// has been failing.
func EnableEndpoint(ctx context.Context, o *store.Org, actor, id string) (Endpoint, error) {
	return changeEndpoint(ctx, o, actor, "webhook_endpoint.enable", id, func(e *Endpoint) ([]string, error) {
		if e.Status == EndpointEnabled && e.FailingSince.IsZero() {
			return nil, nil
		}
		e.Status, e.DisabledReason, e.FailingSince = EndpointEnabled, "", usersync.Time{}
		return []string{"status", "disabledReason", "failingSince"}, nil
	})
}

func changeEndpoint(ctx context.Context, o *store.Org, actor, action, id string, change func(*Endpoint) ([]string, error)) (out Endpoint, err error) {
	err = o.Tx(ctx, func(tx *store.Tx) error {
		row, err := lockEndpointRow(tx, o.ID(), id)
		if err != nil {
			return err
		}
		if out, err = row.endpoint(o.Sealer(), func() (time.Time, error) { return tx.Now(ctx) }); err != nil {
			return fmt.Errorf("read the stored endpoint: %w", err)
		}
		fields, err := change(&out)
		if err != nil || len(fields) == 0 {
			return err
		}
		types, err := json.Marshal(out.EventTypes)
		if err != nil {
			return fmt.Errorf("encode the event types: %w", err)
		}
		out.UpdatedAt = usersync.Time{Time: time.Now().UTC()} //lint:clock a stamp
		values := map[string]any{
			"url": out.URL, "event_types": string(types), "description": out.Description, "status": out.Status,
			"disabled_reason": out.DisabledReason, "failing_since": store.Micros(out.FailingSince.Time), "updated_at": store.Micros(out.UpdatedAt.Time),
			"version": row.Version + 1,
		}
		if out.oldSecretFor <= 0 {
			values["old_secret"], values["old_secret_until"] = "", 0
		}
		err = tx.GORM().Model(&row).Updates(values).Error
		if err != nil {
			return fmt.Errorf("update the endpoint: %w", err)
		}
		return audit.Record(ctx, tx, o.ID(), actor, action, id, fields...)
	})
	return out, err
}

func lockEndpointRow(tx *store.Tx, organization, id string) (endpointRow, error) {
	return loadEndpointRow(tx.GORM().Clauses(tx.ForUpdate()...), organization, id)
}

func loadEndpointRow(db *store.GORMQuery, organization, id string) (row endpointRow, err error) {
	err = db.First(&row, "id = ? AND organization_id = ?", id, organization).Error
	if store.NotFound(err) {
		return row, ErrNoEndpoint
	}
	return row, store.Classify(err)
}

// RotateSecret gives an endpoint a new secret. The present one signs beside it
// for usersync.SecretOverlap; one that was replaced before ends now.
func RotateSecret(ctx context.Context, o *store.Org, actor, id string, make func(signing string) usersync.Secret) (e Endpoint, err error) {
	err = o.Tx(ctx, func(tx *store.Tx) error {
		row, err := lockEndpointRow(tx, o.ID(), id)
		if err != nil {
			return err
		}
		sealed, err := o.Sealer().Seal([]byte(make(row.Signing).Reveal()), SecretPlace(o.ID(), id))
		if err != nil {
			return fmt.Errorf("seal the secret: %w", err)
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return fmt.Errorf("ask for the time: %w", err)
		}
		row.OldSecret, row.OldSecretUntil = row.Secret, store.Micros(now.Add(SecretOverlap))
		row.Secret, row.UpdatedAt, row.Version = sealed, store.Micros(now), row.Version+1
		err = tx.GORM().Model(&row).Select("secret", "old_secret", "old_secret_until", "updated_at", "version").Updates(row).Error
		if err != nil {
			return fmt.Errorf("update the endpoint: %w", err)
		}
		if e, err = row.endpoint(o.Sealer(), func() (time.Time, error) { return tx.Now(ctx) }); err != nil {
			return fmt.Errorf("read the stored endpoint: %w", err)
		}
		return audit.Record(ctx, tx, o.ID(), actor, "webhook_endpoint.rotate_secret", id, "secret")
	})
	return e, err
}

// KeyedEndpoints returns up to limit endpoints of the organization that sign
// with a key pair, newest first.
func KeyedEndpoints(ctx context.Context, o *store.Org, before string, limit int) ([]Endpoint, error) {
	return pageEndpoints(ctx, o, o.GORM(ctx).Where("organization_id = ? AND signing = ?", o.ID(), SigningAsymmetric), before, limit)
}

// withEndpoint runs fn in a transaction that holds the lock of an enabled
// endpoint, and notes in the audit log that actor did action to object.
func withEndpoint(ctx context.Context, o *store.Org, endpoint, actor, action, object string, fields []string, fn func(*store.Tx) error) error {
	return o.Tx(ctx, func(tx *store.Tx) error {
		state, err := lockEndpoint(ctx, tx, o.ID(), endpoint)
		if err != nil {
			return err
		}
		if state.Status != EndpointEnabled {
			return ErrEndpointDisabled
		}
		if err := fn(tx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, o.ID(), actor, action, object, fields...)
	})
}

// ErrEndpointDisabled is the refusal to send to an endpoint that is disabled.
var ErrEndpointDisabled = usersync.Errorf(usersync.CodeConflict, "The webhook endpoint is disabled; enable it first.")

// DeleteEndpoint removes an endpoint and enqueues what is to be done about the
// deliveries that wait for it.
func DeleteEndpoint(ctx context.Context, o *store.Org, actor, id string, then ...usersync.Task) error {
	return o.Tx(ctx, func(tx *store.Tx) error {
		row, err := lockEndpointRow(tx, o.ID(), id)
		if err != nil {
			return err
		}
		if err := tx.GORM().Delete(&row).Error; err != nil {
			return fmt.Errorf("delete the endpoint: %w", err)
		}
		if err := outbox.Enqueue(ctx, tx, then...); err != nil {
			return fmt.Errorf("enqueue the task: %w", err)
		}
		return audit.Record(ctx, tx, o.ID(), actor, "webhook_endpoint.delete", id)
	})
}

var enabledEndpointsStatement = store.Define("delivery.enabledEndpoints", `
SELECT id, event_types, version FROM webhook_endpoints WHERE organization_id = $1 AND status = 'enabled' ORDER BY id`)

// EnabledEndpoints returns the enabled endpoints of an organization with what
// they want, without their secrets.
func EnabledEndpoints(ctx context.Context, tx *store.Tx, organization string) ([]Endpoint, error) {
	return enabled(ctx, tx.Conn, organization)
}

// Wanted reports whether any endpoint of an organization wants messages of a type.
func Wanted(ctx context.Context, o *store.Org, t MessageType) (bool, error) {
	endpoints, err := enabled(ctx, o.Reader(), o.ID())
	return slices.ContainsFunc(endpoints, func(e Endpoint) bool { return e.Wants(t) }), err
}

func enabled(ctx context.Context, c store.Conn, organization string) ([]Endpoint, error) {
	return store.Collect(ctx, c, enabledEndpointsStatement, nil, func(scan func(...any) error) (e Endpoint, err error) {
		var types string
		err = scan(&e.ID, &types, &e.version)
		e.Status = EndpointEnabled
		return e, errors.Join(err, json.Unmarshal([]byte(types), &e.EventTypes))
	}, organization)
}

// versionOf returns the version of the endpoint id, 0 where it is not among endpoints.
func versionOf(endpoints []Endpoint, id string) int64 {
	for _, e := range endpoints {
		if e.ID == id {
			return e.version
		}
	}
	return 0
}

// lockedEndpoint is a locked endpoint, without its secrets.
type lockedEndpoint struct {
	ID           string
	URL          string
	Status       string
	FailingSince time.Time
	// Now is the database's time when the lock was taken.
	Now time.Time
}

var lockEndpointStatement = store.Define("delivery.lockEndpoint", `
SELECT id, url, status, failing_since, {now} FROM webhook_endpoints WHERE id = $2 AND organization_id = $1 {for update}`)

// lockEndpoint locks an endpoint until the transaction ends: before the claim
// of a delivery's task and before deliveries.
func lockEndpoint(ctx context.Context, tx *store.Tx, organization, id string) (e lockedEndpoint, err error) {
	var failing, now int64
	err = tx.QueryRow(ctx, lockEndpointStatement, organization, id).Scan(&e.ID, &e.URL, &e.Status, &failing, &now)
	e.FailingSince, e.Now = store.At(failing), store.At(now)
	if errors.Is(err, sql.ErrNoRows) {
		return e, ErrNoEndpoint
	}
	return e, store.Classify(err)
}

var healthStatement = store.Define("delivery.saveHealth", `
UPDATE webhook_endpoints SET failing_since = CASE WHEN $3 = 1 THEN {now} ELSE 0 END
WHERE id = $2 AND organization_id = $1 AND ($3 = 1) <> (failing_since > 0)`)

// saveHealth keeps since when an endpoint has been failing. It writes nothing
// where nothing changes.
func saveHealth(ctx context.Context, tx *store.Tx, organization, endpoint string, failing bool) error {
	flag := 0
	if failing {
		flag = 1
	}
	return tx.Later(ctx, healthStatement, nil, nil, organization, endpoint, flag)
}

var disableEndpointStatement = store.Define("delivery.disableEndpoint", `
UPDATE webhook_endpoints SET status = 'disabled', disabled_reason = $3, updated_at = {now}, version = version + 1 WHERE id = $2 AND organization_id = $1`)

// deliverer is who the audit log says disabled an endpoint that cannot be reached.
const deliverer = "delivery"

// disableEndpoint disables an endpoint that its owner did not disable.
func disableEndpoint(ctx context.Context, tx *store.Tx, organization, id, reason string) error {
	if err := tx.Later(ctx, disableEndpointStatement, nil, nil, organization, id, reason); err != nil {
		return fmt.Errorf("write that the endpoint is disabled: %w", err)
	}
	return audit.Record(ctx, tx, organization, deliverer, "webhook_endpoint.disable", id, "status", "disabledReason")
}
