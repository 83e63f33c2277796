package management

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"usersync/internal/connector"
	"usersync/internal/platform"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// ConnectionInput is what a tenant says of a connection; nil leaves a field as
// it is. Of credentials and settings the fields that are sent change, null takes
// one away, and a secret equal to its mask is the one that is stored.
type ConnectionInput struct {
	// Platform is fixed when the connection is made.
	Platform    *string                    `json:"platform"`
	Name        *string                    `json:"name"`
	Credentials map[string]json.RawMessage `json:"credentials"`
	Settings    map[string]json.RawMessage `json:"settings"`
}

// checkWithin is how long a platform has for all calls of one check: the caller
// waits for it.
const checkWithin = 30 * time.Second

// Proof is how new credentials and settings are proved before they are kept.
type Proof int

// The proofs.
const (
	// AtPlatform asks the platform; what it refuses is not kept.
	AtPlatform Proof = iota
	// ByForm asks nobody: they are what a connector of the platform can be made of.
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

// CreateConnection makes a connection.
func (s *Service) CreateConnection(ctx context.Context, actor string, org *store.Org, in ConnectionInput, proof Proof) (platform.Connection, error) {
	kind, v := s.validateNew(in)
	if err := v.err(); err != nil {
		return platform.Connection{}, err
	}
	c := platform.Connection{Platform: kind.Name, Name: kind.Title}
	in.applyName(&c)
	if _, err := in.applyAccess(kind, &c); err != nil {
		return c, err
	}
	if err := s.prove(ctx, kind, &c, proof); err != nil {
		return c, err
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

// UpdateConnection changes what in says. A connection that was disconnected goes on
// with credentials that were proved at the platform.
func (s *Service) UpdateConnection(ctx context.Context, actor string, org *store.Org, id string, in ConnectionInput, proof Proof) (platform.Connection, error) {
	before, err := platform.GetConnection(ctx, org, id)
	if err != nil {
		return before, err
	}
	v := in.validate()
	if in.Platform != nil && *in.Platform != before.Platform {
		v.add("platform", "cannot be changed; make another connection")
	}
	if err := v.err(); err != nil {
		return before, err
	}
	after := before
	fields, err := s.changeAccess(ctx, in, &after, proof)
	if err != nil {
		return before, err
	}
	return platform.UpdateConnection(ctx, org, actor, id, func(c *platform.Connection) ([]string, error) {
		changed := in.applyName(c)
		if len(fields) == 0 {
			return changed, nil
		}
		if !sameAccess(*c, before) {
			return nil, errChangedMeanwhile
		}
		c.Credentials, c.Settings, c.Facts, c.CheckedAt = after.Credentials, after.Settings, after.Facts, after.CheckedAt
		return slices.Concat(changed, fields, reconnect(c, before)), nil
	})
}

// changeAccess applies the credentials and settings of in to c and proves them
// when they are others. It returns the names of those that are.
func (s *Service) changeAccess(ctx context.Context, in ConnectionInput, c *platform.Connection, proof Proof) ([]string, error) {
	if in.Credentials == nil && in.Settings == nil {
		return nil, nil
	}
	kind, err := s.kindOf(*c)
	if err != nil {
		return nil, err
	}
	fields, err := in.applyAccess(kind, c)
	if err != nil || len(fields) == 0 {
		return nil, err
	}
	return fields, s.prove(ctx, kind, c, proof)
}

// errChangedMeanwhile is the refusal of a change that rests on what is no longer
// so.
var errChangedMeanwhile = usersync.Errorf(usersync.CodeConflict, "The connection was changed meanwhile; read it and decide again.")

// sameAccess reports whether two states of a connection reach the platform in
// the same way.
func sameAccess(a, b platform.Connection) bool {
	return a.Credentials.Reveal() == b.Credentials.Reveal() && bytes.Equal(a.Settings, b.Settings)
}

// reconnect has a connection go on that the platform had refused, when it was
// checked since.
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
	credentials, err := object([]byte(c.Credentials.Reveal()))
	if err != nil {
		return nil, err
	}
	settings, err := object(c.Settings)
	if err != nil {
		return nil, err
	}
	kept := in.keepMasked(&v, kind, credentials)
	if moved := in.movesTo(settings); kept && moved != "" {
		v.add("settings."+moved, "needs the credentials to be sent with it: stored secrets do not go to another address")
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	fields := slices.Concat(merge("credentials.", credentials, in.Credentials), merge("settings.", settings, in.Settings))
	c.Credentials, c.Settings = usersync.NewSecret(string(encode(credentials))), encode(settings)
	return fields, nil
}

// movesTo returns the setting in which in names another address than the stored
// settings, "" for none: whoever may change a connection must not have its
// secrets sent to a server of their own.
func (in ConnectionInput) movesTo(settings map[string]json.RawMessage) string {
	for _, name := range slices.Sorted(maps.Keys(in.Settings)) {
		var address string
		_ = json.Unmarshal(in.Settings[name], &address) // what is no text is no address
		u, err := url.Parse(address)
		isURL := err == nil && (u.Scheme == "https" || u.Scheme == "http")
		if isURL && !bytes.Equal(encode(in.Settings[name]), encode(settings[name])) {
			return name
		}
	}
	return ""
}

// prove looks whether a connection can be opened and, at the platform, whether it
// takes it. What earlier checks learnt is of other credentials or
// settings and is forgotten.
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
	cfg := connector.Config{Credentials: json.RawMessage(c.Credentials.Reveal()), Settings: c.Settings}
	if len(c.Facts) > 0 {
		if err := json.Unmarshal(c.Facts, &cfg.Facts); err != nil {
			return nil, err
		}
	}
	opened, err := kind.Open(cfg, s.Calls())
	if e := usersync.AsError(err); e != nil && len(e.Fields) > 0 {
		return nil, invalid(e.Fields).err() // names the fields
	}
	return opened, err
}

// learn checks a connection and keeps what the platform told.
func learn(ctx context.Context, opened connector.Connector, c *platform.Connection) error {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	facts, err := opened.Check(ctx)
	if err != nil {
		return err
	}
	c.Facts, err = json.Marshal(facts)
	c.CheckedAt.Time = time.Now().UTC()
	return err
}

// refusal says why a connection is not kept: a platform that refuses it has
// found a wrong field of the input, one that cannot be asked has not.
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

// refusedField is what was wrong where the connector does not tell.
func refusedField(code usersync.Code) string {
	if code == usersync.CodeInvalid { // an address that may not be called, say
		return "settings"
	}
	return "credentials"
}

// Checked is how a check of a connection went.
type Checked struct {
	OK bool `json:"ok"`
	// Code and Message say why not, in words of the platform.
	Code    usersync.Code `json:"code,omitempty"`
	Message string        `json:"message,omitempty"`
	// Connection is as it is now.
	Connection platform.Connection `json:"-"`
}

// CheckConnection asks the platform whether it takes a connection. A failed
// check changes nothing; one that succeeds renews what is known of the account,
// and a disconnected connection goes on.
func (s *Service) CheckConnection(ctx context.Context, actor string, org *store.Org, id string) (Checked, error) {
	before, err := platform.GetConnection(ctx, org, id)
	if err != nil {
		return Checked{}, err
	}
	kind, err := s.kindOf(before)
	if err != nil {
		return Checked{}, err
	}
	after := before
	if err := s.try(ctx, kind, &after); err != nil {
		return failed(err, before)
	}
	out := Checked{OK: true}
	out.Connection, err = platform.CheckedConnection(ctx, org, actor, id, takeIn(before, after))
	return out, err
}

// failed says how a check went that found something wrong. Errors of ours are
// no finding.
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
		return err
	}
	return learn(ctx, opened, c)
}

// takeIn is a change that keeps what a check learnt, unless the connection is
// another by now.
func takeIn(before, after platform.Connection) func(*platform.Connection) ([]string, error) {
	return func(c *platform.Connection) ([]string, error) {
		if !sameAccess(*c, before) {
			return nil, errChangedMeanwhile
		}
		c.Facts, c.CheckedAt = after.Facts, after.CheckedAt
		return append(reconnect(c, before), "checkedAt"), nil
	}
}

// PauseConnection has nothing more pushed to a connection.
func (s *Service) PauseConnection(ctx context.Context, actor string, org *store.Org, id string) (platform.Connection, error) {
	return platform.PauseConnection(ctx, org, actor, id)
}

// ResumeConnection has a connection pushed to again. The platform is asked
// first when it had refused it.
func (s *Service) ResumeConnection(ctx context.Context, actor string, org *store.Org, id string) (platform.Connection, error) {
	before, err := platform.GetConnection(ctx, org, id)
	if err != nil {
		return before, err
	}
	if before.Status != platform.ConnectionDisconnected {
		return platform.ResumeConnection(ctx, org, actor, id)
	}
	checked, err := s.CheckConnection(ctx, actor, org, id)
	if err != nil {
		return before, err
	}
	if !checked.OK {
		return before, stillRefused(checked)
	}
	return checked.Connection, nil
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
	return platform.DeleteConnection(ctx, org, actor, id)
}
