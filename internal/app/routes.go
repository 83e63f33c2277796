package app

import (
	"slices"

	"usersync/internal/api"
)

// Routes returns every route that the API process answers, operations
// included, as "POST /v1/requests/:id/retry", in alphabetical order.
func (a *App) Routes() []string {
	var routes []string
	for _, d := range append(slices.Clone(a.dialects), api.Operations{}.Dialect(), api.Documentation{}.Dialect()) {
		for _, r := range d.Routes {
			routes = append(routes, r.Method+" "+r.Path)
		}
	}
	slices.Sort(routes)
	return routes
}
