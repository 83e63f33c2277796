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

// Markdown returns the page docs/configuration.md.
func Markdown() string {
	var page strings.Builder
	page.WriteString(markdownHead)
	for _, f := range fields() {
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s | %s |\n", f.name, cell(f.help), f.cellDefault(true), f.cellDefault(false), f.cellExample())
	}
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
