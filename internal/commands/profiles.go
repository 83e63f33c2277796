package commands

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"usersync/internal/commands/profile"
	"usersync/internal/usersync"
)

// profiles are the commands of the services that a person calls.
func profiles() *cobra.Command {
	group := &cobra.Command{Use: "profiles", Short: "Services that commands call, each with its URL and key"}
	group.AddCommand(addProfile(), listProfiles(),
		changeProfile("use NAME", "Call this service from now on", (*profile.File).Use),
		changeProfile("remove NAME", "Forget a service and its key", (*profile.File).Remove))
	return group
}

func addProfile() *cobra.Command {
	var address string
	c := &cobra.Command{
		Use:   "add NAME --url URL",
		Short: "Keep a service, or replace the one of this name; the key is asked for, or read from the standard input",
		Args:  one("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			if !profile.ValidName(args[0]) {
				return Misused(fmt.Errorf("NAME is %q; expected letters, digits, dots, dashes and underscores, 64 at most", args[0]))
			}
			base, err := checkedURL(address)
			if err != nil {
				return Misused(fmt.Errorf("--url: %w", err))
			}
			key, err := readKey(c)
			if err != nil {
				return err
			}
			file, err := profile.Open()
			if err != nil {
				return err
			}
			if err := file.Put(profile.Profile{Name: args[0], URL: base, Key: key}); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.ErrOrStderr(), "kept in %s; %s is in use\n", file.Path(), file.Current())
			return err
		},
	}
	c.Flags().StringVar(&address, "url", "", "address of the service, such as https://usersync.example.com")
	return c
}

// longestKey bounds a key that is read, in bytes.
const longestKey = 4096

// readKey asks for a key, which the terminal does not show, or reads the first line of the
// standard input. A key that is an argument would be kept by the shell.
func readKey(c *cobra.Command) (usersync.Secret, error) {
	var text []byte
	var err error
	if in, ok := c.InOrStdin().(*os.File); ok && term.IsTerminal(int(in.Fd())) { //nolint:gosec // descriptors are small
		_, _ = fmt.Fprint(c.ErrOrStderr(), "key: ")
		text, err = term.ReadPassword(int(in.Fd())) //nolint:gosec // descriptors are small
		_, _ = fmt.Fprintln(c.ErrOrStderr())
	} else {
		text, err = bufio.NewReader(io.LimitReader(c.InOrStdin(), longestKey)).ReadBytes('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return usersync.Secret{}, fmt.Errorf("read the key: %w", err)
	}
	key := strings.TrimSpace(string(text))
	if key == "" {
		return usersync.Secret{}, Misused(errors.New("there is no key; expected it at the prompt, or as the first line of the standard input"))
	}
	return usersync.NewSecret(key), nil
}

// listed is a profile as it is printed.
type listed struct {
	Name  string `json:"name"`
	URL   string `json:"url"`
	Key   string `json:"key"`
	InUse bool   `json:"inUse"`
}

func listProfiles() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List the services, their keys masked", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			file, err := profile.Open()
			if err != nil {
				return err
			}
			all := []listed{}
			for _, name := range file.Names() {
				p, err := file.Get(name)
				if err != nil {
					return err
				}
				all = append(all, listed{p.Name, p.URL, p.Key.Masked(), p.Name == file.Current()})
			}
			return Print(c, all)
		},
	}
	c.Flags().String("output", "", "table, json or yaml; default: a table on a terminal, elsewhere json")
	return c
}

// changeProfile is a command that changes the file by the name of a profile.
func changeProfile(use, short string, change func(*profile.File, string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: one("NAME"), ValidArgsFunction: completeProfiles,
		RunE: func(_ *cobra.Command, args []string) error {
			file, err := profile.Open()
			if err != nil {
				return err
			}
			err = change(file, args[0])
			if errors.Is(err, profile.ErrUnknown) {
				return Misused(fmt.Errorf("NAME: %w; expected one of: %s", err, strings.Join(file.Names(), ", ")))
			}
			return err
		},
	}
}

// one refuses everything but one argument of the name.
func one(name string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("there are %d arguments; expected one, %s: `%s`", len(args), name, c.UseLine())
		}
		return nil
	}
}
