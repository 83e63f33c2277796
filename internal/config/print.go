package config

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Where a value comes from, in the words of Print; a kept secret names its file.
const (
	sourceEnvironment = "environment"
	sourceDefault     = "default"
	sourceLater       = "made at the first start"
)

// Print writes every setting in force and where it comes from, in the form of
// an environment file. Secrets and passwords are masked.
func (c *Config) Print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "# %s\n", c.title())
	for _, f := range fields() {
		fmt.Fprintf(table, "%s=%s\t# %s\n", f.name, f.text(c), c.source(f))
	}
	return table.Flush()
}

func (c *Config) title() string {
	way := "deployed: PostgreSQL and Redis"
	if c.Embedded() {
		way = "embedded: everything in one process"
	}
	return strings.TrimSpace("usersync "+c.Version) + ", " + way
}

func (c *Config) source(f field) string {
	if f.required != "" && f.text(c) == "" {
		return sourceLater
	}
	return c.sources[f.name]
}

// note remembers where the value of a setting comes from.
func (c *Config) note(name, source string) {
	if c.sources == nil {
		c.sources = map[string]string{}
	}
	c.sources[name] = source
}
