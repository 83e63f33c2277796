package app_test

import (
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
)

func TestStartOnATakenPortSaysWhichAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = taken.Close() }()
		addr := taken.Addr().String()
		for _, c := range []struct{ api, ops, want string }{{addr, "", "ADDR "}, {"127.0.0.1:0", addr, "OPS_ADDR "}} {
			cfg := e.Config
			cfg.Addr, cfg.OpsAddr = c.api, c.ops
			_, err := app.New(t.Context(), &cfg, app.Options{Role: app.All, Log: slog.New(slog.DiscardHandler), Stdout: io.Discard, Schema: e.Schema, Namespace: e.Namespace})
			if err == nil || !strings.HasPrefix(err.Error(), c.want+addr+": another program listens there") {
				t.Errorf("error %v of %s", err, c.want)
			}
		}
		e.Start(t, app.All)
	})
}

func TestSecondProcessOnOneDataDirectoryIsRefusedAndDoesNotDisturbTheFirst(t *testing.T) {
	t.Parallel()
	e := apptest.New(t, "embedded")
	first := e.Start(t, app.All)
	cfg := e.Config
	_, err := app.New(t.Context(), &cfg, app.Options{Role: app.All, Log: slog.New(slog.DiscardHandler), Stdout: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "another process uses DATA_DIR") {
		t.Errorf("error %v", err)
	}
	if err := first.Store.Ping(t.Context()); err != nil {
		t.Errorf("the first: %v", err)
	}
}
