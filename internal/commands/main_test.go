package commands

import (
	"fmt"
	"os"
	"testing"
)

// TestMain keeps the tests from the services that whoever runs them calls otherwise.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "usersync-profiles")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for name, value := range map[string]string{"XDG_CONFIG_HOME": dir, "USERSYNC_URL": "", "USERSYNC_KEY": ""} {
		if err := os.Setenv(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}
