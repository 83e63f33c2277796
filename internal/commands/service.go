package commands

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"usersync/internal/commands/profile"
	"usersync/internal/usersync"
)

// The environment variables that name a service. They win over the profile in use.
const (
	urlVariable = "USERSYNC_URL"
	keyVariable = "USERSYNC_KEY"
)

// service is what is called.
type service struct {
	url string
	key usersync.Secret
}

// named returns the service that the flags of a command, the environment or the profile in
// use name; nil for none.
func named(c *cobra.Command) (*service, error) {
	asked, _ := c.Flags().GetString("profile")
	base, key := os.Getenv(urlVariable), os.Getenv(keyVariable)
	if asked != "" && base != "" {
		return nil, Misused(fmt.Errorf("--profile %s and %s both name a service; expected one of them", asked, urlVariable))
	}
	if base != "" {
		return ofEnvironment(base, key)
	}
	file, err := profile.Open()
	if err != nil {
		return nil, err
	}
	name := cmp.Or(asked, file.Current())
	if name == "" {
		if key != "" {
			return nil, Misused(fmt.Errorf("%s is set, and nothing says for which service; expected %s or a profile too", keyVariable, urlVariable))
		}
		return nil, nil
	}
	p, err := file.Get(name)
	if err != nil {
		return nil, Misused(fmt.Errorf("--profile: %w; expected one of: %s", err, strings.Join(file.Names(), ", ")))
	}
	if key != "" {
		p.Key = usersync.NewSecret(key)
	}
	return &service{p.URL, p.Key}, nil
}

// ofEnvironment takes no key of a profile: it would be sent to another service.
func ofEnvironment(base, key string) (*service, error) {
	address, err := checkedURL(base)
	if err != nil {
		return nil, Misused(fmt.Errorf("%s: %w", urlVariable, err))
	}
	if key == "" {
		return nil, Misused(fmt.Errorf("%s is set without %s; expected both", urlVariable, keyVariable))
	}
	return &service{address, usersync.NewSecret(key)}, nil
}

// checkedURL returns the address of a service without a slash at its end.
func checkedURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%q is no address of a service; expected one such as https://usersync.example.com", text)
	}
	return strings.TrimRight(text, "/"), nil
}
