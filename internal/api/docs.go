package api

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
)

var docsPage = template.Must(template.New("docs").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>usersync API</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #ccc; }
@media (prefers-color-scheme: dark) { body { background: #111; color: #ddd; } a { color: #8cf; } }
</style>
<h1>usersync API</h1>
<p>The full description, for people and for tools: <a href="/openapi.yaml">openapi.yaml</a>.</p>
{{range .}}<h2>{{.Name}}</h2>
<table>
<tr><th>Method<th>Path<th>Scope<th>What it does
{{range .Routes}}<tr><td>{{.Method}}<td><code>{{.Path}}</code><td>{{.Scope}}<td>{{.Summary}}
{{end}}</table>
{{end}}</html>
`))

// docs shows the routes of the dialects, from the same tables that serve them.
func (o Operations) docs(c *Call) error {
	var page bytes.Buffer
	if err := docsPage.Execute(&page, o.Dialects); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	c.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	return c.Blob(http.StatusOK, "text/html; charset=utf-8", page.Bytes())
}
