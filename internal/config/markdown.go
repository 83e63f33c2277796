package config

import (
	"fmt"
	"strings"
)

const markdownHead = `# Configuration

<!-- Written by "go generate ./internal/config" from the tags of Config. -->

Settings are environment variables. All of them may stay unset: the service then runs embedded, in one process
that needs nothing installed. With ` + "`DATABASE_URL` and `REDIS_URL`" + ` set it runs deployed and also needs
` + "`ADMIN_TOKEN` and `SEALING_KEYS`" + `. An empty variable counts as unset. A process that starts reports all faults
at once.

- ` + "`usersync config`" + ` prints what is in force and where it comes from, with secrets masked.
- ` + "`usersync config keys`" + ` makes the secrets of a deployment.
- ` + "`usersync rewrap-keys`" + ` changes ` + "`SEALING_KEYS`" + ` while the service runs; [deploy.md](deploy.md#change-keys)
  has the steps.

| variable | meaning | default, embedded | default, deployed | example |
|---|---|---|---|---|
`

// markdownFoot tells of what is set for each organization. A test of internal/tenant
// compares its numbers.
const markdownFoot = `
## Limits of an organization

The operator sets them with ` + "`PATCH /admin/v1/organizations/{id}`" + `, as ` + "`" + `{"settings":{"limits":{"connections":200}}}` + "`" + `;
0 is the default. One too many is answered 409, with a sentence that names the limit.

| setting | bounds | default |
|---|---|---|
| ` + "`limits.webhookEndpoints`" + ` | webhook endpoints, enabled or not | 50 |
| ` + "`limits.followUps`" + ` | follow-ups, paused or not | 1,000 |
| ` + "`limits.connections`" + ` | connections, paused or not | 50 |
| ` + "`limits.imports`" + ` | imports that are uploaded and not yet worked | 20 |
| ` + "`limits.unfinishedDeliveries`" + ` | deliveries that wait for one endpoint; beyond, it is disabled, and they can be recovered | 100,000 |
| ` + "`rateLimit.rate`, `rateLimit.burst`" + ` | calls of one API key, a second and at once | 2,000, 4,000 |
`

// Markdown returns the page docs/configuration.md.
func Markdown() string {
	var page strings.Builder
	page.WriteString(markdownHead)
	for _, f := range fields() {
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s | %s |\n", f.name, cell(f.help), f.cellDefault(true), f.cellDefault(false), f.cellExample())
	}
	page.WriteString(markdownFoot)
	return page.String()
}

func (f field) cellDefault(embedded bool) string {
	if f.required != "" && embedded {
		return "kept in `DATA_DIR`"
	}
	if f.required != "" {
		return "required"
	}
	return code(f.fallback(embedded))
}

func (f field) cellExample() string {
	if f.required != "" {
		return cell(f.example)
	}
	return code(f.example)
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + cell(text) + "`"
}

// cell keeps text inside its cell of a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
