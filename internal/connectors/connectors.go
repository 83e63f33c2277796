// Package connectors lists every platform there is.
package connectors

import (
	"usersync/internal/connector"
	httpdest "usersync/internal/connector/http"
)

// Kinds are the platforms, in the order of GET /v1/platforms: THE LIST.
var Kinds = []connector.Kind{
	httpdest.Kind,
}

// Find returns the kind with a name.
func Find(name string) (connector.Kind, bool) {
	for _, k := range Kinds {
		if k.Name == name {
			return k, true
		}
	}
	return connector.Kind{}, false
}
