package followup

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"usersync/internal/template"
	"usersync/internal/usersync"
)

// The bounds of actions.
const (
	maxFields     = 100 // entries of a map or a list
	maxFieldName  = 100 // characters
	maxTag        = 100 // characters
	day           = 24 * time.Hour
	minWait       = time.Second
	maxWait       = 366 * day
	maxShortValue = 4 << 10 // bytes of a tag, a header or a query value as it is filled in
)

// ActionTypes lists the types.
var ActionTypes = []ActionType{
	UpdateUser, AddTag, RemoveTag, SyncToPlatforms, RemoveFromPlatforms, Unsubscribe, SendWebhook, TriggerEvent, FindColleagues, SendInvitation, Wait, Branch,
}

// rule is what there is to say of one type of action.
type rule struct {
	// fields are those that it may have.
	fields []string
	// check notes what is wrong with them.
	check func(c *compiler, place string, a Action)
	// texts fill in the templates of each field.
	texts []func(*filler, *Action)
}

// rules has one for each type.
var rules = map[ActionType]rule{
	UpdateUser: {fields: []string{"set", "unset"}, check: checkUpdate, texts: []func(*filler, *Action){fillSet}},
	AddTag:     {fields: []string{"tags"}, check: checkTags, texts: []func(*filler, *Action){fillTags}},
	RemoveTag:  {fields: []string{"tags"}, check: checkTags, texts: []func(*filler, *Action){fillTags}},

	SyncToPlatforms:     {fields: []string{"connections"}, check: checkConnections},
	RemoveFromPlatforms: {fields: []string{"connections"}, check: checkConnections},
	Unsubscribe:         {fields: []string{"channel"}, check: checkChannel},

	SendWebhook: {
		fields: []string{"name", "method", "url", "query", "headers", "body"}, check: checkWebhook,
		texts: []func(*filler, *Action){fillURL, fillQuery, fillHeaders, fillBody},
	},
	TriggerEvent: {fields: []string{"event", "attributes"}, check: checkEvent, texts: []func(*filler, *Action){fillAttributes}},

	FindColleagues: {check: checkNothing},
	SendInvitation: {fields: []string{"limit"}, check: checkInvitation},

	Wait:   {fields: []string{"for", "until"}, check: checkWait, texts: []func(*filler, *Action){fillUntil}},
	Branch: {fields: []string{"if", "then", "else"}, check: checkNothing}, // compiler.branch does
}

// foreignFields notes the fields that an action of this type does not have.
func (c *compiler) foreignFields(place string, a Action, r rule) {
	for _, f := range []struct {
		name string
		has  bool
	}{
		{"set", a.Set != nil}, {"unset", a.Unset != nil}, {"tags", a.Tags != nil}, {"connections", a.Connections != nil}, {"channel", a.Channel != ""}, {"limit", a.Limit != 0},
		{"name", a.Name != ""}, {"method", a.Method != ""}, {"url", a.URL != ""}, {"query", a.Query != nil}, {"headers", a.Headers != nil}, {"body", a.Body != ""},
		{"event", a.Event != ""}, {"attributes", a.Attributes != nil}, {"for", a.For != ""}, {"until", a.Until != ""},
		{"if", a.If != nil}, {"then", a.Then != nil}, {"else", a.Else != nil},
	} {
		if f.has && !contains(r.fields, f.name) {
			c.fault(place+"."+f.name, "is no field of %s", a.Type)
		}
	}
}

func checkNothing(*compiler, string, Action) {}

// settable are the fields of a user that UpdateUser changes, beside the attributes.
var settable = []string{
	string(usersync.FieldFirstName), string(usersync.FieldLastName), string(usersync.FieldName),
	string(usersync.FieldCountry), string(usersync.FieldJobTitle), string(usersync.FieldInviteLink),
}

// attributePrefix begins the names of the fields that are attributes.
const attributePrefix = "attributes."

func checkUpdate(c *compiler, place string, a Action) {
	if len(a.Set) == 0 && len(a.Unset) == 0 {
		c.fault(place, "must have fields in set or in unset")
	}
	c.size(place+".set", len(a.Set))
	c.size(place+".unset", len(a.Unset))
	for _, name := range slices.Sorted(maps.Keys(a.Set)) {
		at := place + ".set." + name
		c.userField(at, name)
		c.value(at, a.Set[name])
		if _, isText := a.Set[name].Any().(string); !isText && contains(settable, name) {
			c.fault(at, "must be a text")
		}
	}
	for i, name := range a.Unset {
		at := fmt.Sprintf("%s.unset[%d]", place, i)
		c.userField(at, name)
		if _, set := a.Set[name]; set {
			c.fault(at, "is set by the same action")
		}
	}
}

func (c *compiler) userField(place, name string) {
	attribute, ok := strings.CutPrefix(name, attributePrefix)
	switch {
	case contains(settable, name):
	case !ok:
		c.fault(place, "must be one of %s, or attributes. and a name", strings.Join(settable, ", "))
	default:
		c.name(place, attribute)
	}
}

// name checks the name of an attribute.
func (c *compiler) name(place, name string) {
	if name == "" || utf8.RuneCountInString(name) > maxFieldName || !plain(name) {
		c.fault(place, "must be named with 1 to %d characters that can be seen", maxFieldName)
	}
}

func (c *compiler) size(place string, n int) {
	if n > maxFields {
		c.fault(place, "must have at most %d entries", maxFields)
	}
}

// value checks a value whose text is a template.
func (c *compiler) value(place string, v Value) {
	switch text := v.Any().(type) {
	case string:
		c.template(place, text, template.ParseField)
	case nil:
		c.fault(place, "must be a text, a number, true or false")
	}
}

func (c *compiler) template(place, source string, parse parser) {
	if _, err := parse(source, Roots); err != nil {
		c.fault(place, "%s", usersync.AsError(err).Message)
	}
}

// parser is one of the parsers of package template.
type parser = func(source string, roots []string) (*template.Template, error)

func checkTags(c *compiler, place string, a Action) {
	if len(a.Tags) == 0 {
		c.fault(place+".tags", "must have at least one tag")
	}
	c.size(place+".tags", len(a.Tags))
	for i, tag := range a.Tags {
		at := fmt.Sprintf("%s.tags[%d]", place, i)
		if strings.TrimSpace(tag) == "" {
			c.fault(at, "must not be empty")
		}
		c.template(at, tag, template.ParseField)
	}
}

func checkConnections(c *compiler, place string, a Action) {
	if a.Connections != nil && len(a.Connections) == 0 {
		c.fault(place+".connections", "must name at least one; leave it out for all")
	}
	c.size(place+".connections", len(a.Connections))
	for i, id := range a.Connections {
		if !usersync.HasPrefix(id, usersync.PrefixConnection) {
			c.fault(fmt.Sprintf("%s.connections[%d]", place, i), "must be the id of a connection")
		}
	}
}

func checkChannel(c *compiler, place string, a Action) {
	if a.Channel != "" && a.Channel != usersync.ChannelEmail && a.Channel != usersync.ChannelSMS {
		c.fault(place+".channel", "must be %s or %s", usersync.ChannelEmail, usersync.ChannelSMS)
	}
}

// maxInvited is how many colleagues one action invites at most.
const maxInvited = 50

func checkInvitation(c *compiler, place string, a Action) {
	if a.Limit < 0 || a.Limit > maxInvited {
		c.fault(place+".limit", "must be 1 to %d", maxInvited)
	}
}

func checkEvent(c *compiler, place string, a Action) {
	c.eventType(place+".event", a.Event)
	c.size(place+".attributes", len(a.Attributes))
	for _, name := range slices.Sorted(maps.Keys(a.Attributes)) {
		c.name(place+".attributes."+name, name)
		c.value(place+".attributes."+name, a.Attributes[name])
	}
}

func checkWait(c *compiler, place string, a Action) {
	switch {
	case (a.For == "") == (a.Until == ""):
		c.fault(place, "must have one of for and until")
	case a.For != "":
		if _, fault := duration(a.For); fault != "" {
			c.fault(place+".for", "%s", fault)
		}
	case strings.Contains(a.Until, "{{"):
		c.template(place+".until", a.Until, template.ParseField)
	default:
		if _, fault := until(a.Until); fault != "" {
			c.fault(place+".until", "%s", fault)
		}
	}
}

// duration reads a duration as Go writes it, or whole days.
func duration(text string) (time.Duration, string) {
	const form = "must be a duration as 90s, 15m, 24h or 3d"
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n uint16
		n, err = parseDays(days)
		d = time.Duration(n) * day
	}
	switch {
	case err != nil:
		return 0, form
	case d < minWait || d > maxWait:
		return 0, fmt.Sprintf("must be from 1s to %dd", maxWait/day)
	}
	return d, ""
}

func parseDays(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("read a number of days: %w", err)
	}
	return uint16(n), nil
}

// until reads a time as in RFC 3339, a date, or seconds since 1970.
func until(text string) (time.Time, string) {
	text = strings.TrimSpace(text)
	if moment, ok := momentOf(text); ok {
		return moment, ""
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<40 {
		return time.Time{}, "must be a time as 2026-11-22T10:00:00Z, a date, or seconds since 1970"
	}
	return time.Unix(seconds, 0), ""
}

// plain reports whether a text has no control characters and is valid UTF-8.
func plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// filler fills in templates, until the first fault.
type filler struct {
	data map[string]any
	err  error
}

// fill returns what a template makes; place is the field that it is.
func (f *filler) fill(place, source string, parse parser) string {
	if f.err != nil {
		return ""
	}
	t, err := parse(source, Roots)
	var out string
	if err == nil {
		out, err = t.Execute(f.data)
	}
	if err != nil {
		f.fault(place, "%s", usersync.AsError(err).Message)
	}
	return out
}

func (f *filler) fault(place, format string, args ...any) {
	f.err = usersync.Errorf(usersync.CodeInvalid, "%s: %s", place, fmt.Sprintf(format, args...))
}

func (f *filler) text(place, source string) string { return f.fill(place, source, template.ParseField) }

// short is text for a line of at most some bytes.
func (f *filler) short(place, source string) string {
	out := f.text(place, source)
	switch {
	case f.err != nil:
	case len(out) > maxShortValue:
		f.fault(place, "must make at most %d bytes", maxShortValue)
	case !plain(out):
		f.fault(place, "must make no line breaks or other control characters")
	}
	return out
}

func (f *filler) values(place string, in map[string]Value) map[string]Value {
	if in == nil {
		return nil
	}
	out := make(map[string]Value, len(in))
	for _, name := range slices.Sorted(maps.Keys(in)) {
		out[name] = in[name]
		if text, ok := in[name].Any().(string); ok {
			out[name] = ValueOf(f.text(place+"."+name, text))
		}
	}
	return out
}

func fillSet(f *filler, a *Action)        { a.Set = f.values("set", a.Set) }
func fillAttributes(f *filler, a *Action) { a.Attributes = f.values("attributes", a.Attributes) }

func fillTags(f *filler, a *Action) {
	out := make([]string, len(a.Tags))
	for i, tag := range a.Tags {
		place := fmt.Sprintf("tags[%d]", i)
		out[i] = strings.TrimSpace(f.short(place, tag))
		if f.err == nil && (out[i] == "" || utf8.RuneCountInString(out[i]) > maxTag) {
			f.fault(place, "must make 1 to %d characters", maxTag)
		}
	}
	a.Tags = out
}

func fillUntil(f *filler, a *Action) {
	if a.Until == "" {
		return
	}
	a.Until = strings.TrimSpace(f.short("until", a.Until))
	if _, fault := until(a.Until); fault != "" && f.err == nil {
		f.fault("until", "%s", fault)
	}
}
