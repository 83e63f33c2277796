package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"usersync/internal/telemetry"
)

// listener is one port with the server on it.
type listener struct {
	net.Listener
	server *http.Server
}

// listen opens the port that a setting names. What net/http itself has to say goes to log.
func listen(setting, addr string, log *slog.Logger) (*listener, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s %s: another program listens there; end it, or give %s another port", setting, addr, setting)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return &listener{Listener: l, server: &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          telemetry.Foreign(log, slog.LevelWarn, "net/http"),
	}}, nil
}

func (l *listener) addr() netip.AddrPort {
	addr, _ := netip.ParseAddrPort(l.Addr().String())
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}

// serve serves in the background. If an error ends it early, failed gets the error.
func (l *listener) serve(failed chan<- error) {
	go func() {
		if err := l.server.Serve(l.Listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	}()
}

// shutdown takes no more calls and waits for those under way, for at most d.
func (l *listener) shutdown(d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return l.server.Shutdown(ctx)
}

func (l *listener) close() {
	_ = l.server.Close()
	_ = l.Close()
}
