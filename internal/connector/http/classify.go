package httpdest

import (
	"net/http"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// classify is connector.Classify with one exception. A receiver that has gone (410, as
// for webhooks) or moved (redirects are not followed) disconnects, because only its
// owner can repair that.
func classify(r *connector.Response) *usersync.Error {
	e := connector.Classify(r, "")
	if e != nil && (r.Status == http.StatusGone || r.Status >= 300 && r.Status < 400) {
		e.Code = usersync.CodeDisconnected
	}
	return e
}
