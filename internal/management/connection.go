package management

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"usersync/internal/connector"
	"usersync/internal/destination"
	"usersync/internal/mask"
	"usersync/internal/platform"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// ConnectionInput is what a tenant says of a connection; nil leaves a field as
// it is. Only those credentials and settings change that are sent. null removes
// one, and a secret equal to its mask stays as it is stored.
type ConnectionInput struct {
	// Platform is fixed when the connection is made.
	Platform    *string                    `json:"platform"`
	Name        *string                    `json:"name"`
	Credentials map[string]json.RawMessage `json:"credentials"`
	Settings    map[string]json.RawMessage `json:"settings"`
}

// checkWithin bounds all calls of one check together, since the caller waits for
// them.
const checkWithin = 30 * time.Second

// Proof is how new credentials and settings are proved before they are kept.
type Proof int

// The proofs.
const (
	// AtPlatform asks the platform. What it refuses is not stored.
	AtPlatform Proof = iota
	// ByForm makes no call. It checks only that a connector of the platform can be
	// made of them.
	ByForm
)

// kind returns the platform with a name.
func (s *Service) kind(platform string) (connector.Platform, bool) {
	i := slices.IndexFunc(s.Platforms, func(k connector.Platform) bool { return k.Name == platform })
	if i < 0 {
		return connector.Platform{}, false
	}
	return s.Platforms[i], true
}

// kindOf returns the platform of a stored connection.
func (s *Service) kindOf(c platform.Connection) (connector.Platform, error) {
	k, ok := s.kind(c.Platform)
	if !ok {
		return k, usersync.Errorf(usersync.CodeConflict, "This service no longer knows the platform %s; delete the connection.", c.Platform)
	}
	return k, nil
}

// ListConnections returns the connections, newest first.
func (s *Service) ListConnections(ctx context.Context, org *store.Org, before string, limit int) ([]platform.Connection, error) {
	return platform.ListConnections(ctx, org, before, limit)
}

// ListDestinations returns all connections, oldest first, without what is secret
// about them.
func (s *Service) ListDestinations(ctx context.Context, org *store.Org) ([]platform.Connection, error) {
	return destination.List(ctx, org)
}

// GetConnection returns a connection.
func (s *Service) GetConnection(ctx context.Context, org *store.Org, id string) (platform.Connection, error) {
	return platform.GetConnection(ctx, org, id)
}

// CreateConnection makes a connection.
func (s *Service) CreateConnection(ctx context.Context, actor string, org *store.Org, in ConnectionInput, proof Proof) (platform.Connection, error) {
	kind, v := s.validateNew(in)
	if err := v.err(); err != nil {
		return platform.Connection{}, err
	}
	if err := mayWrite(ctx, org); err != nil {
		return platform.Connection{}, err
	}
	c := platform.Connection{Organization: org.ID(), Platform: kind.Name, Name: kind.Title}
	in.applyName(&c)
	if _, err := in.applyAccess(kind, &c); err != nil {
		return c, fmt.Errorf("take over the credentials and settings: %w", err)
	}
	if err := s.prove(ctx, kind, &c, proof); err != nil {
		return c, fmt.Errorf("prove the connection: %w", err)
	}
	return platform.CreateConnection(ctx, org, actor, c)
}

func (s *Service) validateNew(in ConnectionInput) (kind connector.Platform, v invalid) {
	v = in.validate()
	name := ""
	if in.Platform != nil {
		name = *in.Platform
	}
	kind, ok := s.kind(name)
	if !ok {
		v.add("platform", "must be one of %v", s.platformNames())
	}
	return kind, v
}

func (s *Service) platformNames() []string {
	names := make([]string, len(s.Platforms))
	for i, k := range s.Platforms {
		names[i] = k.Name
	}
	return names
}

func (in ConnectionInput) validate() (v invalid) {
	if in.Name != nil && (strings.TrimSpace(*in.Name) == "" || tooLong(*in.Name)) {
		v.add("name", "must have 1 to %d characters", maxText)
	}
	return v
}

// UpdateConnection changes what in says. A connection that was disconnected becomes
// active again when its new credentials were proved at the platform.
func (s *Service) UpdateConnection(ctx context.Context, actor string, org *store.Org, id string, in ConnectionInput, proof Proof) (platform.Connection, error) {
	before, err := platform.GetConnection(ctx, org, id)
	if err != nil {
		return before, fmt.Errorf("read the connection: %w", err)
	}
	v := in.validate()
	if in.Platform != nil && *in.Platform != before.Platform {
		v.add("platform", "cannot be changed; make another connection")
	}
	if err := v.err(); err != nil {
		return before, err
	}
	if err := mayWrite(ctx, org); err != nil {
		return before, err
	}
	after := before
	fields, err := s.changeAccess(ctx, in, &after, proof)
	if err != nil {
		return before, fmt.Errorf("change the credentials and settings: %w", err)
	}
	return s.changed(platform.UpdateConnection(ctx, org, actor, id, func(c *platform.Connection) ([]string, error) {
		changed := in.applyName(c)
		if len(fields) == 0 {
			return changed, nil
		}
		if !sameAccess(*c, before) {
			return nil, errChangedMeanwhile
		}
		c.Credentials, c.Settings, c.Facts, c.CheckedAt = after.Credentials, after.Settings, after.Facts, after.CheckedAt
		return slices.Concat(changed, fields, reconnect(c, before)), nil
	}))
}

// changed completes the change of a connection. It wakes the relay, since the
// change may make pushes due.
func (s *Service) changed(c platform.Connection, err error) (platform.Connection, error) {
	if err != nil {
		return c, fmt.Errorf("change the connection: %w", err)
	}
	return c, nil
}

// changeAccess applies the credentials and settings of in to c, and proves them
// when any of them changes. It returns the names of those that change.
func (s *Service) changeAccess(ctx context.Context, in ConnectionInput, c *platform.Connection, proof Proof) ([]string, error) {
	if in.Credentials == nil && in.Settings == nil {
		return nil, nil
	}
	kind, err := s.kindOf(*c)
	if err != nil {
		return nil, fmt.Errorf("find the platform: %w", err)
	}
	fields, err := in.applyAccess(kind, c)
	if err != nil || len(fields) == 0 {
		return nil, err
	}
	return fields, s.prove(ctx, kind, c, proof)
}

// errChangedMeanwhile refuses a change that is based on an older state of the
// connection.
var errChangedMeanwhile = usersync.Errorf(usersync.CodeConflict, "The connection was changed meanwhile; read it and decide again.")

// sameAccess reports whether two states of a connection reach the platform in
// the same way.
func sameAccess(a, b platform.Connection) bool {
	return a.Credentials.Reveal() == b.Credentials.Reveal() && bytes.Equal(a.Settings, b.Settings)
}

// reconnect makes a connection active again that the platform had refused, when
// it was checked since. It returns the names of the fields that it changed.
func reconnect(c *platform.Connection, before platform.Connection) []string {
	if c.Status != platform.ConnectionDisconnected || !c.CheckedAt.After(before.CheckedAt.Time) {
		return nil
	}
	c.Status, c.Reason = platform.ConnectionActive, ""
	return []string{"status"}
}

func (in ConnectionInput) applyName(c *platform.Connection) []string {
	if in.Name == nil || *in.Name == c.Name {
		return nil
	}
	c.Name = *in.Name
	return []string{"name"}
}

// applyAccess writes the credentials and settings of in to c and returns the
// names of those it changed.
func (in ConnectionInput) applyAccess(kind connector.Platform, c *platform.Connection) ([]string, error) {
	var v invalid
	v.checkNames("credentials", kind.Credentials, in.Credentials)
	v.checkNames("settings", kind.Settings, in.Settings)
	credentials, err := mask.Object([]byte(c.Credentials.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("read the stored credentials: %w", err)
	}
	settings, err := mask.Object(c.Settings)
	if err != nil {
		return nil, fmt.Errorf("read the stored settings: %w", err)
	}
	kept, before := in.keepMasked(&v, kind, credentials), addressesOf(kind, settings)
	fields := slices.Concat(merge("credentials.", credentials, in.Credentials), merge("settings.", settings, in.Settings))
	if field := moved(before, addressesOf(kind, settings)); kept && field != "" {
		v.wantSecret("settings."+field, "the credentials")
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	c.Credentials, c.Settings = usersync.NewSecret(string(mask.Encode(credentials))), mask.Encode(settings)
	return fields, nil
}

// prove checks that a connection can be opened and, for AtPlatform, that the
// platform accepts it. It drops what earlier checks learnt, since that belongs to
// other credentials or settings.
func (s *Service) prove(ctx context.Context, kind connector.Platform, c *platform.Connection, proof Proof) error {
	c.Facts, c.CheckedAt = nil, usersync.Time{}
	opened, err := s.open(kind, *c)
	if err != nil || proof == ByForm {
		return err
	}
	if err := learn(ctx, opened, c); err != nil {
		return refusal(kind, err)
	}
	return nil
}

func (s *Service) open(kind connector.Platform, c platform.Connection) (connector.Connector, error) {
	cfg, err := c.Config()
	if err != nil {
		return nil, err
	}
	// The client has no breaker, since somebody wants to know how things are now.
	opened, err := kind.Open(cfg, s.Hub.Client(c.Organization, ""))
	if e := usersync.AsError(err); e != nil && len(e.Fields) > 0 {
		return nil, invalid(e.Fields).err() // names the fields
	}
	return opened, err
}

// learn checks a connection and keeps in c what the platform says of the account.
func learn(ctx context.Context, opened connector.Connector, c *platform.Connection) error {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	facts, err := opened.Check(ctx)
	if err != nil {
		return fmt.Errorf("check the connection at the platform: %w", err)
	}
	c.Facts, err = json.Marshal(facts)
	c.CheckedAt.Time = time.Now().UTC()
	return err
}

// refusal returns the error for a connection that is not stored. When the platform
// refuses it, a field of the input is wrong. When the platform cannot be asked,
// nothing is known to be wrong with the input.
func refusal(kind connector.Platform, err error) error {
	e := usersync.AsError(err)
	switch e.Code {
	case usersync.CodeInvalid, usersync.CodeDisconnected, usersync.CodeRejected:
		out := usersync.Errorf(usersync.CodeInvalid, "%s refuses the connection: %s", kind.Title, e.Message).Because(err)
		out.Fields = e.Fields
		if len(out.Fields) == 0 {
			out.Fields = []usersync.FieldError{{Field: refusedField(e.Code), Message: e.Message}}
		}
		return out
	case usersync.CodeRateLimited, usersync.CodeUnavailable:
		out := usersync.Errorf(usersync.CodeUnavailable, "%s could not be asked, and nothing was kept: %s Send it again, or with check=false to keep it unchecked.",
			kind.Title, e.Message).Because(err)
		out.RetryAfter = e.RetryAfter
		return out
	}
	return err
}

// refusedField is the field that is wrong when the connector does not name one.
func refusedField(code usersync.Code) string {
	if code == usersync.CodeInvalid { // for example an address that must not be called
		return "settings"
	}
	return "credentials"
}

// Checked is how a check of a connection went.
type Checked struct {
	OK bool `json:"ok"`
	// Code and Message say why the platform refuses it.
	Code    usersync.Code `json:"code,omitempty"`
	Message string        `json:"message,omitempty"`
	// Connection is as it is now.
	Connection platform.Connection `json:"-"`
}

// CheckConnection asks the platform whether it accepts a connection. A failed
// check changes nothing. A check that succeeds renews what is known of the
// account, and makes a disconnected connection active again.
func (s *Service) CheckConnection(ctx context.Context, actor string, org *store.Org, id string) (Checked, error) {
	if err := mayWrite(ctx, org); err != nil {
		return Checked{}, err
	}
	before, err := platform.GetConnection(ctx, org, id)
	if err != nil {
		return Checked{}, fmt.Errorf("read the connection: %w", err)
	}
	kind, err := s.kindOf(before)
	if err != nil {
		return Checked{}, fmt.Errorf("find the platform: %w", err)
	}
	after := before
	if err := s.try(ctx, kind, &after); err != nil {
		return failed(err, before)
	}
	out := Checked{OK: true}
	out.Connection, err = s.changed(platform.CheckedConnection(ctx, org, actor, id, takeIn(before, after)))
	return out, err
}

// failed returns the result of a check that found something wrong. An error that
// is our own says nothing of the connection and is returned.
func failed(err error, c platform.Connection) (Checked, error) {
	e := usersync.AsError(err)
	if e.Code == usersync.CodeInternal {
		return Checked{}, err
	}
	return Checked{Code: e.Code, Message: e.Message, Connection: c}, nil
}

// try opens and checks a stored connection.
func (s *Service) try(ctx context.Context, kind connector.Platform, c *platform.Connection) error {
	opened, err := s.open(kind, *c)
	if err != nil {
		return fmt.Errorf("open the connection: %w", err)
	}
	return learn(ctx, opened, c)
}

// takeIn returns the change that stores what a check learnt. The change is refused
// when the connection has changed since before.
func takeIn(before, after platform.Connection) func(*platform.Connection) ([]string, error) {
	return func(c *platform.Connection) ([]string, error) {
		if !sameAccess(*c, before) {
			return nil, errChangedMeanwhile
		}
		c.Facts, c.CheckedAt = after.Facts, after.CheckedAt
		return append(reconnect(c, before), "checkedAt"), nil
	}
}

// PauseConnection stops pushes to a connection.
func (s *Service) PauseConnection(ctx context.Context, actor string, org *store.Org, id string) (platform.Connection, error) {
	return s.changed(platform.PauseConnection(ctx, org, actor, id))
}

// ResumeConnection starts pushes to a connection again, and lifts what pause the
// platform has asked for. A connection that the platform had refused is checked first.
func (s *Service) ResumeConnection(ctx context.Context, actor string, org *store.Org, id string) (platform.Connection, error) {
	before, err := platform.GetConnection(ctx, org, id)
	if err != nil {
		return before, fmt.Errorf("read the connection: %w", err)
	}
	// Without Redis nobody is held back by a pause, so its absence matters only where
	// there is one.
	if err := s.lift(ctx, before); err != nil && !before.ThrottledUntil.IsZero() {
		return before, err
	}
	if before.Status != platform.ConnectionDisconnected {
		return s.changed(platform.ResumeConnection(ctx, org, actor, id))
	}
	checked, err := s.CheckConnection(ctx, actor, org, id)
	if err != nil {
		return before, fmt.Errorf("check the connection: %w", err)
	}
	if !checked.OK {
		return before, stillRefused(checked)
	}
	return checked.Connection, nil
}

// lift ends the pause that a platform asked for, in all processes, and has this one
// call it again.
func (s *Service) lift(ctx context.Context, c platform.Connection) error {
	kind, err := s.kindOf(c)
	if err != nil {
		return fmt.Errorf("find the platform: %w", err)
	}
	cfg, err := c.Config()
	if err != nil {
		return err
	}
	s.Hub.Forget(c.ID)
	if err := s.Hub.Lift(ctx, c.Organization, kind, cfg); err != nil {
		return fmt.Errorf("lift the pause that the platform asked for: %w", err)
	}
	return nil
}

// stillRefused is the refusal to resume a connection that a check found wrong.
func stillRefused(c Checked) error {
	code := usersync.CodeConflict
	if c.Code.Retryable() {
		code = usersync.CodeUnavailable
	}
	return usersync.Errorf(code, "The connection stays disconnected: %s", c.Message)
}

// DeleteConnection removes a connection. What waits for it is skipped.
func (s *Service) DeleteConnection(ctx context.Context, actor string, org *store.Org, id string) error {
	if err := platform.DeleteConnection(ctx, org, actor, id); err != nil {
		return fmt.Errorf("delete the connection: %w", err)
	}
	return nil
}
