package commands

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// annotation is under what a command keeps the columns of its table.
const annotation = "columns"

// summaries say what each resource is.
var summaries = map[string]string{
	"requests": "Accepted pieces of work", "users": "People who were synced", "erasures": "Erasures and their receipts", "colleagues": "Colleagues of users",
	"imports": "People for the search of colleagues", "organization": "The organization whose key it is", "connections": "Accounts at platforms", "platforms": "What can be connected",
	"follow-ups": "What happens after events", "webhooks": "Endpoints that get webhooks, and deliveries", "events": "What happened to users", "organizations": "Tenants", "keys": "API keys",
	"credits": "Credits and their ledger", "queues": "Queues of tasks", "stuck": "Tasks that do not end", "audit": "Who changed what",
}

// Add gives a program a command for each operation of the API. Where the program has the
// command already, it stays what is done when no service is named: operators' commands then
// open the database.
func Add(root *cobra.Command) {
	for _, o := range operations() {
		group := child(root, o.resource)
		if group == nil {
			group = &cobra.Command{Use: o.resource, Short: summaries[o.resource]}
			root.AddCommand(group)
		}
		if existing := child(group, o.verb); existing != nil {
			o.extend(existing)
			continue
		}
		group.AddCommand(o.command())
	}
	root.AddCommand(profiles())
}

func child(parent *cobra.Command, name string) *cobra.Command {
	i := slices.IndexFunc(parent.Commands(), func(c *cobra.Command) bool { return c.Name() == name })
	if i < 0 {
		return nil
	}
	return parent.Commands()[i]
}

// command returns the command of an operation.
func (o operation) command() *cobra.Command {
	c := &cobra.Command{Use: o.use(), Short: o.short, Args: o.count}
	o.prepare(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		s, err := named(c)
		if err != nil {
			return err
		}
		if s == nil {
			return Misused(errors.New("no service is named: `usersync profiles add NAME --url URL`, or set " + urlVariable + " and " + keyVariable))
		}
		return o.run(c, s, args)
	}
	return c
}

// extend has a command that opens the database call a service instead, where one is named.
func (o operation) extend(c *cobra.Command) {
	onDatabase, counted := c.RunE, c.Args
	c.Use, c.Args = o.use(), o.count
	c.Long = c.Short + ".\n\nIt calls the service that " + urlVariable + " or a profile names. Without one it opens the database that the\nenvironment names, and says which."
	understood := map[string]bool{"output": true}
	for _, f := range o.flags {
		understood[f.name] = c.Flags().Lookup(f.name) != nil
	}
	o.prepare(c)
	c.Flags().Bool("database", false, "open the database that the environment names, also where a service is named")
	c.RunE = func(c *cobra.Command, args []string) error {
		s, err := namedInstead(c)
		if err != nil {
			return err
		}
		if s != nil {
			_, _ = fmt.Fprintln(c.ErrOrStderr(), "service:", s.url)
			return o.run(c, s, args)
		}
		if err := counted(c, args); err != nil {
			return Misused(o.missing(c, args))
		}
		if err := o.onlyOfService(c, understood); err != nil {
			return err
		}
		return onDatabase(c, args)
	}
}

// namedInstead returns the service that is named; nil for none, or when the person wants the
// database.
func namedInstead(c *cobra.Command) (*service, error) {
	wanted, _ := c.Flags().GetBool("database")
	if !wanted {
		return named(c)
	}
	if c.Flags().Changed("profile") {
		return nil, Misused(errors.New("--database and --profile both say what to work on; expected one of them"))
	}
	return nil, nil
}

// onlyOfService refuses flags that say nothing to a command that opens the database.
func (o operation) onlyOfService(c *cobra.Command, understood map[string]bool) error {
	names := []string{"limit", "body"}
	for _, f := range o.flags {
		names = append(names, f.name)
	}
	for _, name := range names {
		if !understood[name] && c.Flags().Changed(name) {
			return Misused(fmt.Errorf("--%s is for a service, and none is named; expected %s or a profile too", name, urlVariable))
		}
	}
	return nil
}

// prepare gives a command its flags and completions.
func (o operation) prepare(c *cobra.Command) {
	flags := c.Flags()
	for _, f := range o.flags {
		if flags.Lookup(f.name) == nil {
			f.add(c)
		}
	}
	flags.String("profile", "", "call the service of this profile")
	flags.String("output", "", "table, json or yaml; default: a table on a terminal, elsewhere json")
	if o.paged {
		flags.Int("limit", 0, "list at most so many; default: all")
	}
	if o.body == object || o.body == optional {
		flags.String("body", "", "file with the body as JSON or YAML, - for the standard input; flags are put into it")
	}
	if o.body == rows {
		flags.String("format", "", "csv or ndjson; default: what the name of the file says, else csv")
	}
	c.Annotations = map[string]string{annotation: strings.Join(o.columns, " ")}
	c.ValidArgsFunction = o.complete
	_ = c.RegisterFlagCompletionFunc("profile", completeProfiles)
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
}

// add adds the flag to a command.
func (f flag) add(c *cobra.Command) {
	switch f.kind {
	case list:
		c.Flags().StringSlice(f.name, nil, f.help)
	case number:
		c.Flags().Int64(f.name, 0, f.help)
	case truth:
		c.Flags().Bool(f.name, true, f.help)
	case duration, ahead, seconds:
		c.Flags().Var(new(Length), f.name, f.help)
	case moment:
		c.Flags().Var(new(Moment), f.name, f.help)
	case text:
		c.Flags().String(f.name, "", f.help)
	}
}

// count refuses arguments that are too many or too few, and names the first that is missing.
func (o operation) count(c *cobra.Command, args []string) error {
	switch {
	case len(args) > len(o.args):
		return fmt.Errorf("%q is one argument too many; expected `%s`", args[len(o.args)], c.CommandPath()+strings.TrimPrefix(o.use(), o.verb))
	case len(args) == len(o.args), len(args) == 0 && o.own != "":
		return nil
	}
	return o.missing(c, args)
}

// missing says which argument is missing.
func (o operation) missing(c *cobra.Command, args []string) error {
	name, _, _ := strings.Cut(o.args[len(args)], "=")
	return fmt.Errorf("%s is missing; expected `%s`", name, c.CommandPath()+strings.TrimPrefix(o.use(), o.verb))
}
