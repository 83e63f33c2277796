package main

import (
	"os"

	"github.com/spf13/cobra"

	"usersync/internal/app"
)

func rewrapKeys() *cobra.Command {
	return &cobra.Command{
		Use:   "rewrap-keys",
		Short: "Wrap everything that is sealed under the first of SEALING_KEYS, while the service runs",
		Long: `Wrap everything that is sealed under the first of SEALING_KEYS, while the service runs.

Run it after every process has been restarted with the new key in front of the old ones. It may be interrupted and run
again at any time: what is under the first key stays as it is. In the end it says which keys nothing is sealed with any more.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return app.RewrapKeys(c.Context(), os.Environ(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
}
