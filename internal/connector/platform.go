package connector

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"usersync/internal/outbound"
	"usersync/internal/queue"
	"usersync/internal/usersync"
)

// Platform is one platform. It says what the platform is called, what a connection to it
// needs, and how a connection is opened. Define makes one.
type Platform struct {
	Name  string // is stored in connections, so it must never change
	Title string
	// Batch is how many profiles one Push takes.
	Batch int
	// Limits are the platform's published ones for an account.
	Limits Limits
	// Lanes are parts of the API with limits of their own.
	Lanes []Lane
	// Classify says what an answer means that is not a success. A nil Classify goes
	// by outbound.CodeOfStatus and Retry-After. The error's message may quote the
	// platform through Quote.
	Classify func(*outbound.Response) *usersync.Error

	// Inbound is how the platform tells of people by webhooks; nil where it does not.
	Inbound *Inbound
	// Revision is the version of the platform's API that is called.
	Revision Revision

	// Credentials and Settings describe the fields, in their order.
	Credentials []Field
	Settings    []Field

	open func(Config, *Client) (Connector, error)
}

// Limits bound the calls to one account over all workers.
type Limits struct {
	// Concurrent is how many calls may be under way at once; 0 is no bound.
	Concurrent int
	// PerSecond is how many calls begin in a second in the long run; 0 is no bound. Burst
	// of them may begin at once. Together they stay below what is Published.
	PerSecond float64
	Burst     int
	// Published are the limits that the platform counts by. None is for a platform that
	// publishes no rate.
	Published []Window
	// Timeout bounds one call.
	Timeout time.Duration
}

// Window is a limit of a platform: no window of time that is In long may hold more Calls.
type Window struct {
	Calls int
	In    time.Duration
}

// Most is how many calls the limits let begin in a window of time at most. It is -1 where
// no rate bounds them.
func (l Limits) Most(in time.Duration) int {
	if l.PerSecond <= 0 {
		return -1
	}
	return max(l.Burst, 1) + int(in.Seconds()*l.PerSecond)
}

// Allowed is how many calls a second the platform takes in the long run, by what it has
// published; 0 where it has published nothing.
func (l Limits) Allowed() float64 {
	allowed := 0.0
	for _, w := range l.Published {
		if rate := float64(w.Calls) / w.In.Seconds(); allowed == 0 || rate < allowed {
			allowed = rate
		}
	}
	return allowed
}

// Field is one credential or setting of a connection.
type Field struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"` // string, integer, number, boolean, list, map, secret
	Help     string   `json:"help"`
	Required bool     `json:"required"`
	Secret   bool     `json:"secret"`
	Default  string   `json:"default,omitempty"`
	Options  []string `json:"options,omitempty"`
	role     string
}

// IsAddress reports whether the setting says where calls go, and credentials with them.
func (f Field) IsAddress() bool { return f.role == "address" }

// Config is what a connection is opened with.
type Config struct {
	Credentials json.RawMessage
	Settings    json.RawMessage
	Facts       Facts
}

// Common are the settings that every connection has.
type Common struct {
	BaseURL        string  `json:"baseUrl,omitempty" role:"address" help:"Another address of the platform's API: a regional host, a proxy, or a fake for tests."`
	MaxConcurrent  int     `json:"maxConcurrent,omitempty" help:"Calls to the account at once; the platform's published limit where not set."`
	CallsPerSecond float64 `json:"callsPerSecond,omitempty" help:"Calls to the account a second; the platform's published limit where not set."`
}

// Define makes a Platform of typed credentials C and settings S. Their fields come
// from the tags of C and S, so that validation, API and documentation cannot
// disagree. The tags are:
//
//	json     the name; with omitempty or omitzero the field is optional
//	help     one sentence for people
//	default  what holds when the field is left out; a required field needs none
//	options  the allowed values, separated by |
//	role     list or tags: what a bulk call may override, see Patch;
//	         archive: keeps whoever is removed, out of reach, instead of deleting them for good;
//	         address: where calls go, which changes only together with the credentials
//
// If C or S has a method Validate() []usersync.FieldError, its faults count too.
func Define[C, S any](k Platform, open func(credentials C, settings S, facts Facts, client *Client) (Connector, error)) Platform {
	k.Credentials = fieldsOf(reflect.TypeFor[C]())
	k.Settings = append(fieldsOf(reflect.TypeFor[S]()), fieldsOf(reflect.TypeFor[Common]())...)
	k.open = func(cfg Config, client *Client) (Connector, error) {
		var credentials C
		var settings S
		own, common, err := split(cfg.Settings)
		if err != nil {
			return nil, fmt.Errorf("read the settings: %w", err)
		}
		faults := slices.Concat(
			read("credentials", k.Credentials, cfg.Credentials, &credentials),
			read("settings", fieldsOf(reflect.TypeFor[S]()), own, &settings), common.check(client))
		if err := faults.Err(); err != nil {
			return nil, err
		}
		return open(credentials, settings, cfg.Facts.bounded(), client.with(k, common, cfg))
	}
	return k
}

// Open opens a connection. Errors have code invalid and name the wrong fields
// as credentials.x and settings.y. All that the connector passes on of the platform's
// answers is bounded, see MaxName.
func (k Platform) Open(cfg Config, client *Client) (Connector, error) {
	c, err := k.open(cfg, client)
	if err != nil {
		return nil, err
	}
	return withBounds(c), nil
}

// account is the key of the account that a connection leads to. The organization is
// in it, so tenants share no limit and no pause, whatever their platforms call their
// accounts. An address of the tenant's own is in it too, so a server that stands there
// speaks for nobody but itself. Before the first check an account is known by the
// credentials alone. A lane of it has a key of its own.
func (k Platform) account(organization string, common Common, cfg Config, lane ...string) queue.AccountKey {
	account := cfg.Facts.Account
	if account == "" {
		account = Fingerprint(usersync.NewSecret(string(cfg.Credentials)))
	}
	return queue.KeyOf(organization, append([]string{k.Name, common.BaseURL, account}, lane...)...)
}

// ErrNoList and ErrNoTags are the refusals to override what a platform does not have.
var (
	ErrNoList = usersync.Errorf(usersync.CodeInvalid, "This platform has no lists to choose from.")
	ErrNoTags = usersync.Errorf(usersync.CodeInvalid, "This platform has no tags.")
)

// Patch returns settings with another list and with more tags. Who is only to be taken off
// is archived where the platform can do that, since they may come back.
func (k Platform) Patch(settings json.RawMessage, patch usersync.PlatformSync) (json.RawMessage, error) {
	archive := k.role("archive")
	if patch.List == "" && len(patch.Tags) == 0 && (!patch.Absent || archive == "") {
		return settings, nil
	}
	values := map[string]any{}
	if len(settings) > 0 {
		if err := json.Unmarshal(settings, &values); err != nil {
			return nil, usersync.Errorf(usersync.CodeInternal, "The settings cannot be read.").Because(err)
		}
	}
	if patch.Absent && archive != "" {
		values[archive] = true
	}
	if patch.List != "" {
		name := k.role("list")
		if name == "" {
			return nil, ErrNoList
		}
		values[name] = patch.List
		if k.typeOf(name) == "list" {
			values[name] = []string{patch.List}
		}
	}
	if len(patch.Tags) > 0 {
		name := k.role("tags")
		if name == "" {
			return nil, ErrNoTags
		}
		tags, _ := values[name].([]any)
		for _, t := range patch.Tags {
			if !slices.Contains(tags, any(t)) {
				tags = append(tags, t)
			}
		}
		values[name] = tags
	}
	return json.Marshal(values)
}

// role returns the name of the setting with a role, or "" if there is none.
func (k Platform) role(role string) string {
	for _, f := range k.Settings {
		if f.role == role {
			return f.Name
		}
	}
	return ""
}

func (k Platform) typeOf(setting string) string {
	i := slices.IndexFunc(k.Settings, func(f Field) bool { return f.Name == setting })
	return k.Settings[i].Type
}

// check finds faults of the common settings.
func (c Common) check(client *Client) Faults {
	var faults Faults
	faults.Add(c.MaxConcurrent < 0, "settings.maxConcurrent", "must not be negative")
	faults.Add(c.CallsPerSecond < 0, "settings.callsPerSecond", "must not be negative")
	faults.Add(c.CallsPerSecond > 0 && c.CallsPerSecond < 1/queue.MaxPause.Seconds(), "settings.callsPerSecond", "must be one call an hour at least")
	if c.BaseURL != "" {
		_, err := client.CheckURL(c.BaseURL)
		faults.AddError("settings.baseUrl", err)
	}
	return faults
}

// split takes the common settings out of the connector's own.
func split(settings json.RawMessage) (own json.RawMessage, common Common, err error) {
	values := map[string]json.RawMessage{}
	if len(settings) > 0 {
		if err := json.Unmarshal(settings, &values); err != nil {
			return nil, common, usersync.Errorf(usersync.CodeInvalid, "settings must be an object.")
		}
	}
	shared := map[string]json.RawMessage{}
	for _, f := range fieldsOf(reflect.TypeFor[Common]()) {
		if v, ok := values[f.Name]; ok {
			shared[f.Name] = v
			delete(values, f.Name)
		}
	}
	// Both maps hold what was JSON before.
	text, _ := json.Marshal(shared)
	if err := json.Unmarshal(text, &common); err != nil {
		return nil, common, wrongType("settings", err)
	}
	own, _ = json.Marshal(values)
	return own, common, nil
}

// read decodes one object and returns what is wrong with it.
func read[T any](place string, fields []Field, raw json.RawMessage, to *T) Faults {
	if len(raw) == 0 {
		raw = json.RawMessage("{}")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(to); err != nil {
		return wrongType(place, err).Fields
	}
	given := map[string]json.RawMessage{}
	_ = json.Unmarshal(raw, &given) // it has just been decoded
	var faults Faults
	for _, f := range fields {
		value, ok := given[f.Name]
		empty := !ok || slices.Contains([]string{`""`, `null`, `[]`, `{}`}, string(value))
		allowed := len(f.Options) == 0 || empty || slices.Contains(f.Options, strings.Trim(string(value), `"`))
		faults.Add(f.Required && empty, place+"."+f.Name, "is required: "+f.Help)
		faults.Add(!allowed, place+"."+f.Name, "must be one of "+strings.Join(f.Options, ", "))
	}
	if v, ok := any(to).(interface{ Validate() []usersync.FieldError }); ok && len(faults) == 0 {
		for _, fault := range v.Validate() {
			faults.Add(true, place+"."+fault.Field, fault.Message)
		}
	}
	return faults
}

var unknownField = regexp.MustCompile(`unknown field "([^"]*)"`)

// wrongType turns a decoder's error into one that names the field. It quotes
// nothing of the input, which may be a secret.
func wrongType(place string, err error) *usersync.Error {
	field, message := place, "is not valid"
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		field, message = place+"."+e.Field, "must be "+typeName(e.Type)
	} else if m := unknownField.FindStringSubmatch(err.Error()); m != nil {
		field, message = place+"."+m[1], "is not known"
	}
	return usersync.AsError(Faults{{Field: field, Message: message}}.Err())
}

// secretTypes are the types of fields that are never shown.
var secretTypes = []reflect.Type{reflect.TypeFor[usersync.Secret](), reflect.TypeFor[map[string]usersync.Secret]()}

func fieldsOf(t reflect.Type) []Field {
	var fields []Field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		field := Field{
			Name: name, Type: typeName(f.Type), Help: f.Tag.Get("help"), Default: f.Tag.Get("default"), role: f.Tag.Get("role"),
			Secret: slices.Contains(secretTypes, f.Type), Required: !strings.Contains(options, "omit"),
		}
		if o := f.Tag.Get("options"); o != "" {
			field.Options = strings.Split(o, "|")
		}
		if name == "" || field.Type == "" || field.Help == "" {
			panic(fmt.Sprintf("connector: field %s of %s needs a json name, a help text and a plain type", f.Name, t))
		}
		fields = append(fields, field)
	}
	return fields
}

func typeName(t reflect.Type) string {
	if t == reflect.TypeFor[usersync.Secret]() {
		return "secret"
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Int, reflect.Int64:
		return "integer"
	case reflect.Float64:
		return "number"
	case reflect.Bool:
		return "boolean"
	case reflect.Slice:
		return "list"
	case reflect.Map:
		return "map"
	}
	return ""
}

// shortSecret is the length, in bytes, of the shortest credential that is looked for
// in answers. A shorter one could stand in ordinary words.
const shortSecret = 8

// secrets returns the secret values of credentials.
func (k Platform) secrets(credentials json.RawMessage) []string {
	values := map[string]any{}
	_ = json.Unmarshal(credentials, &values) // they have been read before
	var out []string
	for _, f := range k.Credentials {
		if !f.Secret {
			continue
		}
		many, ok := values[f.Name].(map[string]any)
		if !ok {
			many = map[string]any{"": values[f.Name]}
		}
		for _, v := range many {
			if text, ok := v.(string); ok && len(text) >= shortSecret {
				out = append(out, text)
			}
		}
	}
	return out
}

// Fingerprint names an account by its credential without revealing the credential.
func Fingerprint(credential usersync.Secret) string {
	sum := sha256.Sum256([]byte("usersync account\x00" + credential.Reveal()))
	return hex.EncodeToString(sum[:8])
}
