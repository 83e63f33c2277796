package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"usersync/internal/usersync"
)

// classify turns what a transport returned into an error that may be shown. ctx is
// the caller's context, and limited is the same with the Client's timeout.
func classify(ctx, limited context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	if neverConnected(err) {
		return unavailable(unreachable, loggable(err))
	}
	if limited.Err() != nil {
		return unavailable("There was no complete answer in time.", limited.Err())
	}
	return unavailable(describe(err), loggable(err))
}

func unavailable(message string, cause error) error {
	return usersync.Errorf(usersync.CodeUnavailable, "%s", message).Because(cause)
}

// unreachable is the one answer to a name that does not resolve, one that resolves to
// an address which may not be called, and a host that refuses the connection. Apart,
// they would tell tenants the names and addresses of the operator's network.
const unreachable = "The host cannot be reached at a public address by https, or refuses the connection."

// neverConnected reports whether err says that no connection came about for one of the
// reasons that are not told apart. A connection that is not answered in time is none:
// only public addresses get so far.
func neverConnected(err error) bool {
	_, refused := errors.AsType[*usersync.Error](err) // by the Guard
	_, lookup := errors.AsType[*net.DNSError](err)
	return refused || lookup || errors.Is(err, syscall.ECONNREFUSED)
}

// describe returns a sentence for callers that says what failed.
func describe(err error) string {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "The certificate of the host is not valid."
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "There was no complete answer in time."
	}
	return "The connection failed or broke off."
}

// loggable returns the part of err that is known to hold addresses and host names at
// most. Of any other error only the type is kept, because some errors quote what the
// other side sent.
func loggable(err error) error {
	if e, ok := errors.AsType[*usersync.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e
	}
	for _, known := range []error{io.ErrUnexpectedEOF, io.EOF, syscall.ECONNRESET} {
		if errors.Is(err, known) {
			return known
		}
	}
	return fmt.Errorf("%T", err)
}
