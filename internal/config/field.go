package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"strings"

	"usersync/internal/usersync"
)

// field is what the tags of one field of Config say.
type field struct {
	goName, name, is, example, help string
	common, embedded, deployed      string
	required                        string
	secret                          bool
	index                           int
}

// fields lists the settings in the order of the struct.
func fields() []field {
	var list []field
	for i, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		name := f.Tag.Get("env")
		if name == "" || name == "-" {
			continue
		}
		list = append(list, field{
			goName: f.Name, name: name, is: f.Tag.Get("is"), example: f.Tag.Get("example"), help: f.Tag.Get("help"),
			common: f.Tag.Get("default"), embedded: f.Tag.Get("embedded"), deployed: f.Tag.Get("deployed"),
			required: f.Tag.Get("required"), secret: f.Type == reflect.TypeFor[usersync.Secret](), index: i,
		})
	}
	return list
}

// fallback returns the text that is in force when the variable is unset.
func (f field) fallback(embedded bool) string {
	if embedded && f.embedded != "" {
		return f.embedded
	}
	if !embedded && f.deployed != "" {
		return f.deployed
	}
	return f.common
}

// missing returns the fault of a setting without a value, nil where it needs none.
func (f field) missing(embedded bool) error {
	if embedded || f.required != "deployed" {
		return nil
	}
	return fmt.Errorf("%s: is required when deployed; make one with: %s", f.name, keysCommand)
}

// wrong returns the fault of a value that is not what it should be.
func (f field) wrong(text string) error {
	shown := fmt.Sprintf("%q", maskURL(text))
	if f.secret {
		shown = "the value"
	}
	return fmt.Errorf("%s: %s is not %s; expected e.g. %s%s", f.name, shown, f.is, f.example, hint(text))
}

// hint says how a password is written in a URL, where that seems to be what is wrong.
func hint(text string) string {
	if !isUnencoded(text) {
		return ""
	}
	return "; percent-encode the user name and password in it: # is %23, % is %25, / is %2F, ? is %3F, @ is %40"
}

// text returns the value of f in c as it may be shown.
func (f field) text(c *Config) string {
	switch value := reflect.ValueOf(c).Elem().Field(f.index).Interface().(type) {
	case usersync.Secret:
		return maskSecret(value)
	case []netip.Prefix:
		return networksText(value)
	case fmt.Stringer:
		return strings.ToLower(value.String())
	default:
		return maskURL(fmt.Sprint(value))
	}
}

func networksText(networks []netip.Prefix) string {
	if len(networks) == 0 {
		return noNetworks
	}
	texts := make([]string, len(networks))
	for i, network := range networks {
		texts[i] = network.String()
	}
	return strings.Join(texts, ",")
}

// mask stands for what is not shown.
const mask = "••••"

// maskSecret shows of a URL all but its password, of sealing keys their ids and
// of anything else the last characters.
func maskSecret(secret usersync.Secret) string {
	text := secret.Reveal()
	switch {
	case text == "":
		return ""
	case strings.Contains(text, "://") || strings.Contains(text, ","), areSealingKeys(text):
		return maskList(text)
	default:
		return secret.Masked()
	}
}

// maskList masks one URL or every part of a comma-separated list; when one part
// is of unknown form, the commas may belong to a password and nothing is shown.
func maskList(text string) string {
	if strings.Count(text, "://") == 1 && strings.Contains(text, "@") {
		return maskURL(text)
	}
	parts := strings.Split(text, ",")
	for i, part := range parts {
		part = strings.TrimSpace(part)
		switch id, _, _ := strings.Cut(part, ":"); {
		case areSealingKeys(part):
			parts[i] = id + ":" + mask
		case strings.Contains(part, "://"):
			parts[i] = maskURL(part)
		case !isHostPort(part):
			return mask
		}
	}
	return strings.Join(parts, ",")
}

// shownParameters are the URL parameters that are never secret; the values of
// all others are masked.
var shownParameters = map[string]bool{"sslmode": true, "application_name": true, "connect_timeout": true, "db": true, "master": true}

// maskURL returns text without the password and the secret parameters of the
// URL it is; text that is no URL comes back as it is.
func maskURL(text string) string {
	scheme, _, ok := strings.Cut(text, "://")
	if !ok {
		return text
	}
	u, err := url.Parse(text)
	if err != nil || u.Fragment != "" || strings.Contains(u.Path+u.RawQuery, "@") {
		return scheme + "://" + mask // part of a password may stand where it does not belong
	}
	shown := u.Scheme + "://"
	if u.User != nil {
		shown += maskUser(u.User) + "@"
	}
	shown += u.Host + u.Path
	if u.RawQuery != "" {
		shown += "?" + maskQuery(u.RawQuery)
	}
	return shown
}

func maskUser(user *url.Userinfo) string {
	if _, ok := user.Password(); !ok {
		return user.Username()
	}
	return user.Username() + ":" + mask
}

func maskQuery(query string) string {
	parts := strings.Split(query, "&")
	for i, part := range parts {
		name, _, _ := strings.Cut(part, "=")
		if !shownParameters[name] {
			parts[i] = name + "=" + mask
		}
	}
	return strings.Join(parts, "&")
}
