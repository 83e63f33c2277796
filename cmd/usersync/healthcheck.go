package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// healthWithin is how long a process of this machine has to say how it is.
const healthWithin = 3 * time.Second

func healthcheck() *cobra.Command {
	return &cobra.Command{
		Use:     "healthcheck URL",
		Short:   "Ask a process how it is; exit status 0 when the answer is 200, otherwise 1",
		Example: "  usersync healthcheck http://127.0.0.1:9090/readyz",
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return checkHealth(c.Context(), args[0]) },
	}
}

// checkHealth returns an error unless url answers 200 within healthWithin.
func checkHealth(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("make the call: %w", err)
	}
	client := &http.Client{
		Timeout: healthWithin,
		// A proxy or another server would speak for itself.
		Transport:     &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("call the service: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, response.Status)
	}
	return nil
}
