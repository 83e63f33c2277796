package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"usersync/internal/app"
	"usersync/internal/commands"
	"usersync/internal/credit"
	"usersync/internal/management"
	"usersync/internal/outbox"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// actor is who the audit log says made a change from the command line.
const actor = "command line"

// pageSize is how many items of a list are read at once.
const pageSize = 500

// everything reads a list page by page to its end. page returns the items after the one
// with the id last, the first ones for "".
func everything[T any](idOf func(T) string, page func(last string) ([]T, error)) ([]T, error) {
	all := []T{}
	for last := ""; ; {
		items, err := page(last)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if len(items) < pageSize {
			return all, nil
		}
		last = idOf(items[len(items)-1])
	}
}

// withAdmin opens the database that the environment names, for one call. It says which one:
// an operator may have several.
func withAdmin(c *cobra.Command, fn func(*management.Service) (any, error)) error {
	a, err := app.OpenAdmin(c.Context(), os.Environ())
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer func() { _ = a.Close() }()
	_, _ = fmt.Fprintln(c.ErrOrStderr(), "database:", a.Database)
	result, err := fn(a.Service)
	if err != nil {
		return err
	}
	return commands.Print(c, result)
}

// command is a command that makes one call of the service, on the database that the
// environment names.
func command(use, short string, args cobra.PositionalArgs, run func(ctx context.Context, a *management.Service, args []string) (any, error)) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: args, RunE: func(c *cobra.Command, args []string) error {
		return withAdmin(c, func(a *management.Service) (any, error) { return run(c.Context(), a, args) })
	}}
}

func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short}
	g.AddCommand(commands...)
	return g
}

func organizations() *cobra.Command {
	create := command("create NAME", "Make an organization", cobra.ExactArgs(1), func(ctx context.Context, a *management.Service, args []string) (any, error) {
		return a.CreateOrganization(ctx, actor, management.OrganizationInput{ProfileInput: management.ProfileInput{Name: &args[0]}})
	})
	list := command("list", "List the organizations, newest first", cobra.NoArgs, func(ctx context.Context, a *management.Service, _ []string) (any, error) {
		return everything(func(o tenant.Organization) string { return o.ID }, func(last string) ([]tenant.Organization, error) {
			return a.ListOrganizations(ctx, last, pageSize)
		})
	})
	disable := command("disable ORGANIZATION", "Refuse an organization's calls and stop its work from now on", cobra.ExactArgs(1), func(ctx context.Context, a *management.Service, args []string) (any, error) {
		return a.DisableOrganization(ctx, actor, args[0])
	})
	enable := command("enable ORGANIZATION", "Take an organization's calls again and have its work go on", cobra.ExactArgs(1), func(ctx context.Context, a *management.Service, args []string) (any, error) {
		return a.EnableOrganization(ctx, actor, args[0])
	})
	return group("organizations", "Tenants", create, list, disable, enable)
}

func stuck() *cobra.Command {
	age := commands.Length(outbox.LostAfter)
	list := command("list", "List unfinished tasks that should be done by now, oldest first", cobra.NoArgs, func(ctx context.Context, a *management.Service, _ []string) (any, error) {
		return everything(func(t outbox.StuckTask) string { return t.ID }, func(last string) ([]outbox.StuckTask, error) {
			return a.ListStuckTasks(ctx, time.Duration(age), last, pageSize)
		})
	})
	list.Flags().Var(&age, "older-than", "how long a task must have been due")
	retry := command("retry TASK", "Have a poisoned task worked again", cobra.ExactArgs(1), func(ctx context.Context, a *management.Service, args []string) (any, error) {
		return map[string]string{"id": args[0]}, a.RetryTask(ctx, actor, args[0])
	})
	return group("stuck", "Tasks that do not end", list, retry)
}

// madeKey is a new key with the key itself, which is shown once.
type madeKey struct {
	ID             string         `json:"id"`
	OrganizationID string         `json:"organizationId"`
	Name           string         `json:"name"`
	Key            string         `json:"key"`
	Scopes         []tenant.Scope `json:"scopes"`
}

func shown(k tenant.Key, secret usersync.Secret) madeKey {
	return madeKey{k.ID, k.Organization, k.Name, secret.Reveal(), k.Scopes}
}

func keys() *cobra.Command {
	var in management.KeyInput
	var scopes []string
	var expires commands.Length
	create := command("create ORGANIZATION", "Make an API key; it is shown once", cobra.ExactArgs(1), func(ctx context.Context, a *management.Service, args []string) (any, error) {
		for _, s := range scopes {
			in.Scopes = append(in.Scopes, tenant.Scope(s))
		}
		if expires > 0 {
			in.ExpiresAt = time.Now().Add(time.Duration(expires))
		}
		k, secret, err := a.CreateKey(ctx, actor, args[0], in)
		return shown(k, secret), err
	})
	create.Flags().StringVar(&in.Name, "name", "", "what the key is for")
	create.Flags().StringSliceVar(&scopes, "scopes", nil, "what the key may do; default: everything")
	create.Flags().Var(&expires, "expires-in", "when the key ends, 30d say; without it never")
	list := command("list ORGANIZATION", "List an organization's keys, newest first", cobra.ExactArgs(1), func(ctx context.Context, a *management.Service, args []string) (any, error) {
		return everything(func(k tenant.Key) string { return k.ID }, func(last string) ([]tenant.Key, error) {
			return a.ListKeys(ctx, args[0], last, pageSize)
		})
	})
	revoke := command("revoke ORGANIZATION KEY", "End a key now", cobra.ExactArgs(2), func(ctx context.Context, a *management.Service, args []string) (any, error) {
		return a.RevokeKey(ctx, actor, args[0], args[1])
	})
	overlap := commands.Length(management.DefaultOverlap)
	rotate := command("rotate ORGANIZATION KEY", "Replace a key; the old one works on for the overlap", cobra.ExactArgs(2), func(ctx context.Context, a *management.Service, args []string) (any, error) {
		k, secret, err := a.RotateKey(ctx, actor, args[0], args[1], time.Duration(overlap))
		return shown(k, secret), err
	})
	rotate.Flags().Var(&overlap, "overlap", "how long the old key still works")
	return group("keys", "API keys", create, list, revoke, rotate)
}

func credits() *cobra.Command {
	var reference string
	add := &cobra.Command{
		Use: "add ORGANIZATION AMOUNT", Short: "Add credits; waiting requests go on by themselves", Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			amount, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil {
				return commands.Misused(fmt.Errorf("AMOUNT is %q; expected a whole number", args[1]))
			}
			return withAdmin(c, func(a *management.Service) (any, error) {
				return a.TopUp(c.Context(), actor, args[0], management.TopUpInput{Amount: amount, Reference: reference})
			})
		},
	}
	add.Flags().StringVar(&reference, "reference", "", "an invoice, say; the same reference adds only once")
	ledger := command("ledger ORGANIZATION", "List the ledger, newest first", cobra.ExactArgs(1), func(ctx context.Context, a *management.Service, args []string) (any, error) {
		return everything(func(e credit.Entry) string { return e.ID }, func(last string) ([]credit.Entry, error) {
			return a.ListLedgerOf(ctx, args[0], last, pageSize)
		})
	})
	verify := command("verify ORGANIZATION", "Prove that the balance is the sum of the ledger", cobra.ExactArgs(1), func(ctx context.Context, a *management.Service, args []string) (any, error) {
		v, err := a.VerifyCredits(ctx, args[0])
		if err == nil && !v.OK {
			err = fmt.Errorf("balance %d, sum of entries %d, requests charged twice %d", v.Balance, v.Sum, v.Overcharged)
		}
		return v, err
	})
	return group("credits", "Credits and their ledger", add, ledger, verify)
}
