package followup

import (
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"usersync/internal/template"
	"usersync/internal/usersync"
)

// Methods are those of SendWebhook.
var Methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete}

const (
	contentType = "Content-Type"
	mediaJSON   = "application/json"
	mediaForm   = "application/x-www-form-urlencoded"
)

// ownHeaders are set by HTTP itself.
var ownHeaders = []string{
	"Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

func checkWebhook(c *compiler, place string, a Action) {
	c.responseName(place+".name", a.Name)
	if !contains(Methods, a.Method) {
		c.fault(place+".method", "must be one of %v", Methods)
	}
	if a.URL == "" {
		c.fault(place+".url", "must be set")
	} else {
		c.template(place+".url", a.URL, template.ParseURL)
	}
	c.size(place+".query", len(a.Query))
	for _, name := range slices.Sorted(maps.Keys(a.Query)) {
		c.name(place+".query."+name, name)
		c.template(place+".query."+name, a.Query[name], template.ParseField)
	}
	c.headers(place+".headers", a.Headers)
	if a.Body != "" {
		if a.Method == http.MethodGet {
			c.fault(place+".body", "must not be set for GET")
		}
		c.template(place+".body", a.Body, bodyParser(a.Headers))
	}
}

// responseName checks the name under which templates find the response.
func (c *compiler) responseName(place, name string) {
	switch {
	case name == "":
		return
	case len(name) > maxFieldName || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" || name[0] <= '9':
		c.fault(place, "must begin with a letter and go on with letters, digits and _, at most %d", maxFieldName)
	case c.names[name]:
		c.fault(place, "is the name of another response")
	}
	if c.names == nil {
		c.names = map[string]bool{}
	}
	c.names[name] = true
}

func (c *compiler) headers(place string, headers map[string]string) {
	c.size(place, len(headers))
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		at := place + "." + name
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !isToken(name) || len(name) > maxFieldName:
			c.fault(at, "is no name of a header")
		case contains(ownHeaders, canonical):
			c.fault(at, "is set by HTTP itself")
		case seen[canonical]:
			c.fault(at, "is there twice")
		case canonical == contentType && strings.Contains(headers[name], "{{"):
			c.fault(at, "must not be a template, since it says how the values of the body are escaped")
		}
		seen[canonical] = true
		if !plain(headers[name]) {
			c.fault(at, "must have no line breaks or other control characters")
		}
		c.template(at, headers[name], template.ParseField)
	}
}

// isToken reports whether s is a token of RFC 9110 §5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// bodyParser returns the parser of the body that the Content-Type asks for.
func bodyParser(headers map[string]string) parser {
	media, _, _ := strings.Cut(MediaType(headers), ";")
	media = strings.ToLower(strings.TrimSpace(media))
	switch {
	case media == mediaJSON, strings.HasSuffix(media, "+json"):
		return template.ParseJSON
	case media == mediaForm:
		return template.ParseForm
	}
	return template.ParseField
}

// MediaType returns the Content-Type that a webhook's body has: what its headers say, or
// application/json.
func MediaType(headers map[string]string) string {
	for name, value := range headers {
		if textproto.CanonicalMIMEHeaderKey(name) == contentType {
			return value
		}
	}
	return mediaJSON
}

// fillURL fills in the address and adds the query to it.
func fillURL(f *filler, a *Action) { a.URL = f.fill("url", a.URL, template.ParseURL) }

func fillQuery(f *filler, a *Action) {
	if len(a.Query) == 0 || f.err != nil {
		return
	}
	u, err := url.Parse(a.URL)
	if err != nil {
		f.err = usersync.Errorf(usersync.CodeInvalid, "url: is no address")
		return
	}
	query := url.Values{}
	for _, name := range slices.Sorted(maps.Keys(a.Query)) {
		query.Set(name, f.short("query."+name, a.Query[name]))
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += query.Encode()
	a.URL, a.Query = u.String(), nil
}

func fillHeaders(f *filler, a *Action) {
	if a.Headers == nil {
		return
	}
	out := make(map[string]string, len(a.Headers))
	for _, name := range slices.Sorted(maps.Keys(a.Headers)) {
		out[name] = f.short("headers."+name, a.Headers[name])
	}
	a.Headers = out
}

func fillBody(f *filler, a *Action) {
	if a.Body != "" {
		a.Body = f.fill("body", a.Body, bodyParser(a.Headers))
	}
}
