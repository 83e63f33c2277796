// Command usersync is everything in one: the service with nothing to install,
// and the commands an operator needs.
package main

import (
	"cmp"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"usersync/internal/app"
	"usersync/internal/commands"
)

func main() {
	if err := program().Execute(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, app.Describe(err))
		os.Exit(exitStatus(err))
	}
}

// program returns the commands.
func program() *cobra.Command {
	root := &cobra.Command{
		Use:           "usersync",
		Short:         "Keeps users in step on every connected platform, finds their colleagues, bills the credit, calls the webhook",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       cmp.Or(app.Version, "dev"),
	}
	root.AddCommand(
		run("serve", app.All, "Run API and worker in one process; embedded unless DATABASE_URL and REDIS_URL are set"),
		run("api", app.API, "Run the part of a deployment that accepts requests, as cmd/api does"),
		run("worker", app.Worker, "Run the part of a deployment that works them, as cmd/worker does"),
		migrate(), doctor(), verify(), rewrapKeys(), healthcheck(), configuration(), organizations(), keys(), credits(), stuck(), syncFile(), followUps(),
	)
	commands.Add(root)
	tellMisuse(root)
	return root
}

func run(use string, role app.Role, short string) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return app.Serve(c.Context(), role) },
	}
}

func migrate() *cobra.Command {
	var create bool
	command := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database to this release's schema",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			bring := app.Migrate
			if create {
				bring = app.Create
			}
			applied, err := bring(c.Context(), os.Environ())
			if err != nil {
				return fmt.Errorf("migrate the database: %w", err)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%d migrations applied; the database has this release's schema\n", applied)
			return err
		},
	}
	command.Flags().BoolVar(&create, "create", false, "make an embedded database in DATA_DIR if there is none, without the demonstration's organization")
	return command
}

func verify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Look in the whole database for what must not be there; changes nothing",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return app.Verify(c.Context(), os.Environ(), c.OutOrStdout())
		},
	}
}

func doctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Look at the database, Redis, clocks, keys, network and platforms of this installation; writes nothing but a key in Redis that lives for a minute",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return app.Doctor(c.Context(), os.Environ(), c.OutOrStdout())
		},
	}
}

func configuration() *cobra.Command {
	command := &cobra.Command{
		Use:   "config",
		Short: "Print the settings in force, secrets masked",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return app.PrintConfig(c.OutOrStdout(), os.Environ()) },
	}
	command.AddCommand(&cobra.Command{
		Use:   "keys",
		Short: "Make an ADMIN_TOKEN and SEALING_KEYS for a deployment",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return app.WriteKeys(c.OutOrStdout()) },
	})
	return command
}
