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
	if refusal, ok := errors.AsType[*usersync.Error](err); ok {
		return refusal
	}
	if limited.Err() != nil {
		return unavailable("There was no complete answer in time.", limited.Err())
	}
	return unavailable(describe(err), loggable(err))
}

func unavailable(message string, cause error) error {
	return usersync.Errorf(usersync.CodeUnavailable, "%s", message).Because(cause)
}

// describe returns a sentence for callers that says what failed.
func describe(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return "The host name does not resolve."
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "The host name could not be looked up."
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "The certificate of the host is not valid."
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "There was no complete answer in time."
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "The host refused the connection."
	}
	return "The connection failed or broke off."
}

// loggable returns the part of err that is known to hold addresses and host names at
// most. Of any other error only the type is kept, because some errors quote what the
// other side sent.
func loggable(err error) error {
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
