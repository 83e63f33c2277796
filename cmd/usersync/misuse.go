package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"usersync/internal/commands"
)

// The exit statuses: of a call that did not do what it was to do, and of one that was typed
// wrongly and did nothing.
const (
	exitFailure = 1
	exitMisuse  = 2
)

// exitStatus is what the program ends with after err.
func exitStatus(err error) int {
	if commands.IsMisuse(err) {
		return exitMisuse
	}
	return exitFailure
}

// tellMisuse has a command and those below it say of wrong arguments and flags that they are
// misuse. A command that is only a name for others shows its help, and refuses what is none
// of them.
func tellMisuse(c *cobra.Command) {
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return commands.Misused(err) })
	if !c.Runnable() {
		c.Args = noSuchCommand
		c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
	if args := c.Args; args != nil {
		c.Args = func(c *cobra.Command, given []string) error { return commands.Misused(args(c, given)) }
	}
	for _, one := range c.Commands() {
		tellMisuse(one)
	}
}

// noSuchCommand refuses the name of a command that is not there, and says which are meant
// perhaps.
func noSuchCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("%q is no command of %q", args[0], c.CommandPath())
	if c.SuggestionsMinimumDistance == 0 {
		c.SuggestionsMinimumDistance = 2
	}
	if like := c.SuggestionsFor(args[0]); len(like) > 0 {
		text += "; is it " + strings.Join(like, " or ") + "?"
	}
	return errors.New(text + "; `" + c.CommandPath() + " --help` lists them")
}
