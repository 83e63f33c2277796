package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"usersync/internal/app"
	"usersync/internal/config"
	"usersync/internal/credit"
	"usersync/internal/tenant"
)

// A client's first call: a user goes in, and with Prefer: wait the answer comes when
// the work is done.
func Example() {
	url, key, stop, err := exampleService()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()

	body := `{"user":{"email":"john.doe@acme.example.com","country":"US","name":"John Doe","jobTitle":"Software Engineer"}}`
	req, err := http.NewRequest(http.MethodPost, url+"/v1/user-sync", strings.NewReader(body))
	if err != nil {
		fmt.Println(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-API-Key", key)
	req.Header.Set("Prefer", "wait=30")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	var report struct {
		Status string `json:"status"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&report); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.Status)
	fmt.Println(report.Status)
	// Output:
	// 200 OK
	// succeeded
}

// exampleService runs the service in this process, as `usersync serve` does, with an
// organization of 10 credits and an API key of it.
func exampleService() (url, key string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "usersync-example")
	if err != nil {
		return "", "", nil, err
	}
	cfg, err := config.Load([]string{"DATA_DIR=" + dir, "ADDR=127.0.0.1:0"})
	if err != nil {
		return "", "", nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	service, err := app.New(ctx, cfg, app.Options{Role: app.All, Log: slog.New(slog.DiscardHandler), Stdout: io.Discard})
	if err != nil {
		cancel()
		return "", "", nil, err
	}
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx) }()
	stop = func() {
		cancel()
		<-done
		_ = os.RemoveAll(dir)
	}
	organization, err := tenant.Create(ctx, service.Store, "example", tenant.Organization{Name: "Acme"})
	if err != nil {
		stop()
		return "", "", nil, err
	}
	if _, err := credit.TopUp(ctx, service.Store, "example", organization.ID, 10, ""); err != nil {
		stop()
		return "", "", nil, err
	}
	_, secret, err := tenant.CreateKey(ctx, service.Store, "example", organization.ID, tenant.Key{Name: "first"})
	if err != nil {
		stop()
		return "", "", nil, err
	}
	return service.Addr(), secret.Reveal(), stop, nil
}
