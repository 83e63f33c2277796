// Package scim is the dialect of identity providers that provision users and groups by
// SCIM 2.0 (RFC 7644), as Okta and Microsoft Entra ID do.
package scim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"usersync/internal/api"
	"usersync/internal/provision"
	"usersync/internal/scim"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// Handlers answer the calls of the dialect.
type Handlers struct{}

const (
	idName     = "id"
	usersPath  = provision.Base + "/Users"
	userPath   = usersPath + "/:" + idName
	groupsPath = provision.Base + "/Groups"
	groupPath  = groupsPath + "/:" + idName
)

// mediaType is that of all answers.
const mediaType = "application/scim+json"

// mediaTypes are those of bodies.
var mediaTypes = []string{mediaType, "application/json"}

// maxUserBody bounds the body that tells of a user, in bytes.
const maxUserBody = 256 << 10

// Dialect returns the routes.
func (h *Handlers) Dialect() api.Dialect {
	d := api.Dialect{Name: "scim", Prefixes: []string{provision.Base}, Doubled: provision.Base + "//", Auth: api.KeyAuth, Render: render, Routes: []api.Route{
		{Method: http.MethodGet, Path: usersPath, Handler: listUsers, Summary: "Finds users that were provisioned."},
		{Method: http.MethodPost, Path: usersPath, Handler: createUser, BodyLimit: maxUserBody, Summary: "Provisions a user."},
		{Method: http.MethodGet, Path: userPath, Handler: getUser, Summary: "Shows a user that was provisioned."},
		{Method: http.MethodPut, Path: userPath, Handler: replaceUser, BodyLimit: maxUserBody, Summary: "Replaces what was provisioned of a user."},
		{Method: http.MethodPatch, Path: userPath, Handler: patchUser, BodyLimit: maxUserBody, Summary: "Changes, deactivates or reactivates a user."},
		{Method: http.MethodDelete, Path: userPath, Handler: deleteUser, Summary: "Takes a user off the platforms and forgets that they were provisioned."},
		{Method: http.MethodGet, Path: groupsPath, Handler: listGroups, Summary: "Finds groups."},
		{Method: http.MethodPost, Path: groupsPath, Handler: createGroup, Summary: "Provisions a group."},
		{Method: http.MethodGet, Path: groupPath, Handler: getGroup, Summary: "Shows a group."},
		{Method: http.MethodPut, Path: groupPath, Handler: replaceGroup, Summary: "Replaces a group and its members."},
		{Method: http.MethodPatch, Path: groupPath, Handler: patchGroup, Summary: "Changes a group, or adds and removes members."},
		{Method: http.MethodDelete, Path: groupPath, Handler: deleteGroup, Summary: "Removes a group."},
		{Method: http.MethodGet, Path: provision.Base + "/ServiceProviderConfig", Handler: getConfig, Summary: "Tells what of SCIM is supported."},
		{Method: http.MethodGet, Path: typesPath, Handler: listTypes, Summary: "Lists the types of resources."},
		{Method: http.MethodGet, Path: typesPath + "/:" + idName, Handler: getType, Summary: "Shows a type of resource."},
		{Method: http.MethodGet, Path: schemasPath, Handler: listSchemas, Summary: "Lists the schemas of resources."},
		{Method: http.MethodGet, Path: schemasPath + "/:" + idName, Handler: getSchema, Summary: "Shows a schema."},
	}}
	for i := range d.Routes {
		d.Routes[i].Scope, d.Routes[i].MediaTypes = tenant.ScopeSCIM, mediaTypes
	}
	return d
}

// by says who calls.
func by(c *api.Call) provision.By {
	return provision.By{Org: c.Caller.Org, Salt: c.Caller.Organization.Salt, Actor: c.Actor, RequestID: c.ID, Traceparent: c.Traceparent()}
}

// answer answers with v as JSON of SCIM.
func answer(c *api.Call, status int, v any) error {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	return c.Blob(status, mediaType, bytes.TrimSuffix(out.Bytes(), []byte("\n")))
}

// refusal is an error (RFC 7644 §3.12).
type refusal struct {
	Schemas  []string `json:"schemas"`
	Status   string   `json:"status"`
	ScimType string   `json:"scimType,omitempty"`
	Detail   string   `json:"detail"`
}

func render(c *api.Call, f api.Failure) error {
	out := refusal{Schemas: []string{scim.ErrorSchema}, Status: strconv.Itoa(f.Status), Detail: f.Message}
	if fault, ok := errors.AsType[scim.Fault](f.Error); ok {
		out.ScimType = string(fault)
	}
	if f.Status == http.StatusInternalServerError {
		out.Detail = "Internal server error. " + c.Quote()
	}
	return answer(c, f.Status, out)
}

// resourceID returns the id in the path; missing is the error of one that names nothing.
func resourceID(c *api.Call, prefix usersync.Prefix, missing error) (string, error) {
	id := c.Param(idName)
	if !usersync.HasPrefix(id, prefix) {
		return "", missing
	}
	return id, nil
}

// choice reads which attributes are to be shown.
func choice(c *api.Call) (scim.Choice, error) {
	query, err := c.Query()
	if err != nil {
		return scim.Choice{}, err
	}
	return scim.ParseChoice(query.Get("attributes"), query.Get("excludedAttributes")), nil
}
