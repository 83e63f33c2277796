package api

import (
	"bytes"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"usersync/internal/api/apidocs"
	"usersync/internal/api/openapi"
)

// Documentation shows what the API is, to people and to tools. Its routes need no key.
type Documentation struct {
	// Dialects are those whose routes the page lists where no script runs.
	Dialects []Dialect
}

// Dialect returns the routes to mount.
func (d Documentation) Dialect() Dialect {
	return Dialect{Name: "documentation", Level: slog.LevelDebug, Routes: []Route{
		{Method: http.MethodGet, Path: "/openapi.yaml", Summary: "The description of the API.", Handler: description},
		{Method: http.MethodGet, Path: "/docs", Summary: "The description as a page.", Handler: d.page},
		{Method: http.MethodGet, Path: "/docs/:file", Summary: "A file of that page.", Handler: docsFile},
	}}
}

func description(c *Call) error {
	return c.Blob(http.StatusOK, "application/yaml", openapi.Document)
}

var docsPage = template.Must(template.New("docs").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>usersync API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="stylesheet" href="/docs/page.css">
<header><h1>usersync API</h1>
<p>For tools: <a href="/openapi.yaml">openapi.yaml</a>.</p></header>
<main id="description"></main>
<noscript>
{{range .}}<h2>{{.Name}}</h2>
<table>
<tr><th>Method<th>Path<th>Scope<th>What it does
{{range .Routes}}<tr><td>{{.Method}}<td><code>{{.Path}}</code><td>{{.Scope}}<td>{{.Summary}}
{{end}}</table>
{{end}}</noscript>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
`))

// docsPolicy lets the page run its own files and call this server, and nothing else. Swagger
// UI has its pictures in its files.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// page shows the description. Without scripts it shows the routes, from the same tables
// that serve them.
func (d Documentation) page(c *Call) error {
	var page bytes.Buffer
	if err := docsPage.Execute(&page, d.Dialects); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	c.Header().Set("Content-Security-Policy", docsPolicy)
	return c.Blob(http.StatusOK, "text/html; charset=utf-8", page.Bytes())
}

func docsFile(c *Call) error {
	f, known := apidocs.Find(c.Param("file"))
	if !known {
		return echo.ErrNotFound
	}
	h := c.Header()
	h.Set("Cache-Control", "public, max-age=3600") // it holds nobody's data
	h.Set("Vary", "Accept-Encoding")
	content := f.Content
	if strings.Contains(c.Request().Header.Get("Accept-Encoding"), "gzip") {
		content = f.Compressed()
		h.Set("Content-Encoding", "gzip")
	}
	return c.Blob(http.StatusOK, f.Type, content)
}
