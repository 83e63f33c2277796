package scim

import (
	"net/http"

	"usersync/internal/api"
	"usersync/internal/provision"
	"usersync/internal/scim"
	"usersync/internal/usersync"
)

const (
	typesPath   = provision.Base + "/ResourceTypes"
	schemasPath = provision.Base + "/Schemas"
)

// object is a resource of the discovery.
type object = map[string]any

// getConfig is GET /scim/v2/ServiceProviderConfig (RFC 7643 §5).
func getConfig(c *api.Call) error {
	not := object{"supported": false}
	return answer(c, http.StatusOK, object{
		"schemas":          []string{"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"},
		"patch":            object{"supported": true},
		"bulk":             object{"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
		"filter":           object{"supported": true, "maxResults": maxCount},
		"changePassword":   not,
		"sort":             not,
		"etag":             not,
		"documentationUri": "https://datatracker.ietf.org/doc/html/rfc7644",
		"authenticationSchemes": []object{{
			"type": "oauthbearertoken", "name": "API key", "description": "An API key of the organization with the scope scim, as Authorization: Bearer.", "primary": true,
		}},
		"meta": object{"resourceType": "ServiceProviderConfig", "location": provision.Base + "/ServiceProviderConfig"},
	})
}

// typeOf describes a type of resource (RFC 7643 §6).
func typeOf(t *scim.Type) object {
	extensions := []object{}
	for _, urn := range t.Extensions() {
		extensions = append(extensions, object{"schema": urn, "required": false})
	}
	return object{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:ResourceType"}, "id": t.Name, "name": t.Name, "endpoint": t.Endpoint,
		"schema": t.Schema(), "schemaExtensions": extensions,
		"meta": object{"resourceType": "ResourceType", "location": typesPath + "/" + t.Name},
	}
}

// listTypes is GET /scim/v2/ResourceTypes.
func listTypes(c *api.Call) error {
	var out []map[string]any
	for _, t := range scim.Types() {
		out = append(out, typeOf(t))
	}
	return answerList(c, len(out), 1, out)
}

// getType is GET /scim/v2/ResourceTypes/{name}.
func getType(c *api.Call) error {
	for _, t := range scim.Types() {
		if t.Name == c.Param(idName) {
			return answer(c, http.StatusOK, typeOf(t))
		}
	}
	return errNothing
}

// errNothing is the refusal of a name that names nothing to be discovered.
var errNothing = usersync.Errorf(usersync.CodeNotFound, "There is nothing of this name")

// schemas describes the schemas (RFC 7643 §7).
func schemas() []map[string]any {
	list := scim.Schemas()
	for _, s := range list {
		urn, _ := s["id"].(string)
		s["meta"] = object{"resourceType": "Schema", "location": schemasPath + "/" + urn}
	}
	return list
}

// listSchemas is GET /scim/v2/Schemas.
func listSchemas(c *api.Call) error {
	list := schemas()
	return answerList(c, len(list), 1, list)
}

// getSchema is GET /scim/v2/Schemas/{urn}.
func getSchema(c *api.Call) error {
	for _, s := range schemas() {
		if s["id"] == c.Param(idName) {
			return answer(c, http.StatusOK, s)
		}
	}
	return errNothing
}
