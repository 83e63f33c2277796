package console

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"usersync/internal/api"
	"usersync/internal/console/ui"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// cookieName is that of the cookie that names a session.
const cookieName = "usersync_console"

// What a session holds.
const (
	sessionKey          = "key"          // the id of the API key that signed in
	sessionOperator     = "operator"     // the fingerprint of the operator's token that signed in
	sessionOrganization = "organization" // the id of the organization that the operator looks at
	sessionFlash        = "flash"        // what the last action led to
	sessionFailed       = "failed"       // why the last action did nothing
)

// operator is who the audit log says made a change with the operator's token.
const operator = "operator"

// securityHeaders are of every answer of the console.
var securityHeaders = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	"Referrer-Policy":            "same-origin",
	"X-Frame-Options":            "DENY",
	"Cross-Origin-Opener-Policy": "same-origin",
	"Permissions-Policy":         "camera=(), geolocation=(), microphone=()",
}

var errOrigin = usersync.Errorf(usersync.CodeForbidden, "This was sent from another site. Nothing was done.")

// secure sets the headers of every answer, and refuses what another site has a browser send.
func (h *Handlers) secure(c *api.Call) error {
	for name, value := range securityHeaders {
		c.Header().Set(name, value)
	}
	if err := h.origin.Check(c.Request()); err != nil {
		return &usersync.Error{Code: errOrigin.Code, Message: errOrigin.Message, Err: err}
	}
	return nil
}

// The errors that lead to another page.
var (
	errSignedOut      = usersync.Errorf(usersync.CodeUnauthorized, "Sign in first.")
	errNoOrganization = usersync.Errorf(usersync.CodeNotFound, "Choose an organization first.")
	errOperatorOnly   = usersync.Errorf(usersync.CodeForbidden, "Only the operator sees this page. Sign in with the operator's token.")
)

// visit is a call of somebody who is signed in.
type visit struct {
	ctx      context.Context // with the session's data
	operator bool
	// by is what the viewer signed in with, for people.
	by string
}

const visitName = "visit"

func visitOf(c *api.Call) visit {
	v, _ := c.Get(visitName).(visit)
	return v
}

// load finds the session of a call.
func (h *Handlers) load(c *api.Call) (context.Context, error) {
	token := ""
	if cookie, err := c.Request().Cookie(cookieName); err == nil {
		token = cookie.Value
	}
	ctx, err := h.Sessions.Load(c.Context(), token)
	if err != nil {
		return nil, fmt.Errorf("load the session: %w", err)
	}
	return ctx, nil
}

// save writes the session of a call, and tells the browser its name.
func (h *Handlers) save(ctx context.Context, c *api.Call) error {
	token, _, err := h.Sessions.Commit(ctx)
	if err != nil {
		return fmt.Errorf("save the session: %w", err)
	}
	h.setCookie(c, token, 0)
	return nil
}

// setCookie sets the cookie for as long as the browser runs, or takes it away. It is sent
// over TLS only where the call came so, as a proxy in front tells.
func (h *Handlers) setCookie(c *api.Call, token string, maxAge int) {
	r := c.Request()
	http.SetCookie(c.Response(), &http.Cookie{
		Name: cookieName, Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: maxAge,
		Secure: r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https"),
	})
}

// authenticate finds out who looks at a page of an organization.
func (h *Handlers) authenticate(c *api.Call) error {
	v, err := h.begin(c)
	if err != nil {
		return err
	}
	if v.operator {
		return h.enter(c, v)
	}
	if err := c.AuthenticateKey(h.Sessions.GetString(v.ctx, sessionKey)); err != nil {
		return signedOut(err)
	}
	v.by = c.Caller.Key.Name
	if v.by == "" {
		v.by = c.Caller.Key.Hint
	}
	c.Set(visitName, v)
	return nil
}

// begin finds the session of a call, which belongs to a key or to the operator.
func (h *Handlers) begin(c *api.Call) (v visit, err error) {
	if err := h.secure(c); err != nil {
		return v, err
	}
	if v.ctx, err = h.load(c); err != nil {
		return v, err
	}
	if mark := h.Sessions.GetString(v.ctx, sessionOperator); mark != "" {
		if mark != h.fingerprint() {
			return v, errSignedOut
		}
		v.operator, v.by = true, "Operator"
		c.Actor = operator
		c.Set(visitName, v)
		return v, nil
	}
	if h.Sessions.GetString(v.ctx, sessionKey) == "" {
		return v, errSignedOut
	}
	return v, nil
}

// enter has the operator look at the organization that they chose. They may do there what
// a key of all scopes may, since they could make one.
func (h *Handlers) enter(c *api.Call, v visit) error {
	id := h.Sessions.GetString(v.ctx, sessionOrganization)
	if id == "" {
		return errNoOrganization
	}
	o, err := h.Management.GetOrganization(c.Context(), id)
	if usersync.CodeOf(err) == usersync.CodeNotFound {
		return errNoOrganization
	}
	if err != nil {
		return fmt.Errorf("read the organization: %w", err)
	}
	if o.Status != tenant.Active {
		return errNoOrganization
	}
	if err := c.Admit(o, h.Management.Store.Org(o.ID), operator); err != nil {
		return err
	}
	c.Caller.Key.Scopes = []tenant.Scope{tenant.ScopeAll}
	return nil
}

// authenticateOperator lets nobody but the operator in.
func (h *Handlers) authenticateOperator(c *api.Call) error {
	v, err := h.begin(c)
	if err != nil {
		return err
	}
	if !v.operator {
		if err := c.AuthenticateKey(h.Sessions.GetString(v.ctx, sessionKey)); err != nil {
			return signedOut(err)
		}
		return errOperatorOnly
	}
	return nil
}

// signedOut has a viewer sign in again whose key has ended.
func signedOut(err error) error {
	if usersync.CodeOf(err) == usersync.CodeUnauthorized {
		return errSignedOut
	}
	return err
}

// fingerprint tells one operator's token from the next, so that sessions end with it. It is
// stored sealed.
func (h *Handlers) fingerprint() string {
	sum := sha256.Sum256([]byte("console\x00" + h.AdminToken.Reveal()))
	return hex.EncodeToString(sum[:16])
}

// oneOf refuses viewers that have none of the scopes.
func oneOf(handler func(*api.Call) error, scopes []tenant.Scope) func(*api.Call) error {
	if len(scopes) == 0 {
		return handler
	}
	return func(c *api.Call) error {
		if !slices.ContainsFunc(scopes, c.Caller.Key.Allows) {
			return usersync.Errorf(usersync.CodeForbidden, "The API key that you signed in with lacks the scope %s.", scopeNames(scopes))
		}
		return handler(c)
	}
}

func scopeNames(scopes []tenant.Scope) string {
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = string(s)
	}
	return strings.Join(names, " or ")
}

// may reports whether the viewer may do what needs the scope.
func may(c *api.Call, scope tenant.Scope) bool { return c.Caller.Key.Allows(scope) }

// The refusals of a sign-in.
var (
	errNoSecret    = "Enter an API key or the operator's token."
	errWrongSecret = "This key is not valid here. Check that it is complete, and that it has neither expired nor been revoked."
)

// signInPage is GET /sign-in.
func (h *Handlers) signInPage(c *api.Call) error {
	return h.write(c, http.StatusOK, signInView(safePath(c.QueryParam("next")), ""))
}

// signIn is POST /sign-in. Wrong keys from one address are throttled.
func (h *Handlers) signIn(c *api.Call) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	next, secret := safePath(form.Get("next")), usersync.NewSecret(strings.TrimSpace(form.Get("secret")))
	if secret.IsZero() {
		return h.write(c, http.StatusUnprocessableEntity, signInView(next, errNoSecret))
	}
	if wait := h.tries.Wait(c.Request().RemoteAddr); wait > 0 {
		return &usersync.Error{Code: usersync.CodeRateLimited, RetryAfter: wait, Message: "Too many wrong keys came from your address. Try again in a minute."}
	}
	name, value, err := h.recognize(c, secret)
	if err != nil {
		return err
	}
	if name == "" {
		h.tries.Note(c.Request().RemoteAddr)
		return h.write(c, http.StatusUnprocessableEntity, signInView(next, errWrongSecret))
	}
	return h.open(c, name, value, next)
}

// recognize returns what a session of whoever has the secret holds, "" for a wrong one.
func (h *Handlers) recognize(c *api.Call, secret usersync.Secret) (name, value string, err error) {
	if same(secret.Reveal(), h.AdminToken.Reveal()) {
		return sessionOperator, h.fingerprint(), nil
	}
	switch err := c.Authenticate(secret); usersync.CodeOf(err) {
	case "":
		return sessionKey, c.Caller.Key.ID, nil
	case usersync.CodeUnauthorized, usersync.CodeInvalid:
		return "", "", nil
	default:
		return "", "", fmt.Errorf("find the key: %w", err)
	}
}

// same compares in a time that depends on neither text. An empty secret is nobody's.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return b != "" && subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// open begins a session. A session that was there gets another name, so that nobody can
// have set it up.
func (h *Handlers) open(c *api.Call, name, value, next string) error {
	ctx, err := h.load(c)
	if err != nil {
		return err
	}
	if err := h.Sessions.Clear(ctx); err != nil {
		return fmt.Errorf("clear the session: %w", err)
	}
	if err := h.Sessions.RenewToken(ctx); err != nil {
		return fmt.Errorf("rename the session: %w", err)
	}
	h.Sessions.Put(ctx, name, value)
	if err := h.save(ctx, c); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, next)
}

// signOut is POST /sign-out.
func (h *Handlers) signOut(c *api.Call) error {
	ctx, err := h.load(c)
	if err != nil {
		return err
	}
	if err := h.Sessions.Destroy(ctx); err != nil {
		return fmt.Errorf("end the session: %w", err)
	}
	h.setCookie(c, "", -1)
	return c.Redirect(http.StatusSeeOther, "/sign-in")
}

// safePath returns a path of this site, / for anything else.
func safePath(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.Contains(path, `\`) {
		return "/"
	}
	return path
}

// viewer is who looks at a page.
func (h *Handlers) viewer(c *api.Call) ui.Viewer {
	v := visitOf(c)
	return ui.Viewer{Operator: v.operator, Organization: c.Caller.Organization.Name, Key: v.by, May: func(scopes ...string) bool {
		return slices.ContainsFunc(scopes, func(s string) bool { return may(c, tenant.Scope(s)) })
	}}
}
