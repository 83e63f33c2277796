package copernica

import (
	"cmp"
	"net/url"
	"strconv"
	"strings"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/webhook"
	"usersync/internal/usersync"
)

// inbound is Copernica's webhook of changed profiles, a form. Copernica signs it with a key
// that stands in the DNS, which is not asked here: the secret address is what proves a call.
var inbound = connector.Inbound{
	Help: "Marketing Suite > Webhooks > Add: the address, and the trigger update of the connection's database. Copernica may ask to prove first that the host is yours.",
	Read: readInbound,
}

// readInbound reads who is marked as unsubscribed. Any change of a profile comes, so one
// that is not marked says nothing: it may be about another field.
func readInbound(cfg connector.Config, call connector.InboundCall) ([]connector.Signal, error) {
	_, settings, err := webhook.ReadConfig[Credentials, Settings](cfg)
	if err != nil {
		return nil, err
	}
	form, err := webhook.Form(call)
	if err != nil {
		return nil, err
	}
	switch {
	case form.Get("type") == "":
		return nil, webhook.ErrUnreadable
	case form.Get("type") != "update" || form.Get("subprofile") != "" || form.Get("database") != settings.Database:
		return nil, nil
	}
	one := profileOf(form)
	c := &copernica{settings: settings, mapping: settings.Fields.Or(defaults), facts: cfg.Facts}
	if !c.marked(one) {
		return nil, nil
	}
	seconds, err := strconv.ParseInt(form.Get("time"), 10, 64)
	if err != nil {
		return nil, webhook.ErrUnreadable
	}
	s := connector.Signal{Channel: usersync.ChannelEmail, Status: usersync.Unsubscribed, Reason: "unsubscribe", At: time.Unix(seconds, 0)}
	for name, source := range c.mapping {
		value, _ := one.value(name)
		switch source {
		case "email":
			s.Email = cmp.Or(s.Email, value)
		case "userId":
			s.UserID = cmp.Or(s.UserID, value)
		}
	}
	if s.Email == "" && s.UserID == "" {
		return nil, webhook.ErrUnreadable
	}
	return []connector.Signal{s}, nil
}

// profileOf is the profile that a call is about: fields[newsletter]=no.
func profileOf(form url.Values) profile {
	out := profile{ID: id(form.Get("profile")), Fields: map[string]any{}}
	for key, values := range form {
		if name, ok := strings.CutPrefix(key, "fields["); ok && strings.HasSuffix(name, "]") && len(values) > 0 {
			out.Fields[strings.TrimSuffix(name, "]")] = values[0]
		}
	}
	return out
}
