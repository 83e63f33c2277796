package store

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"usersync/internal/usersync"
)

func TestTwoStatementsMustNotHaveOneName(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("a second statement took the name of another")
		}
	}()
	Define(nowStatement.Name(), `SELECT 1`)
}

func TestErrorOfAStatementTellsItsNameAndItsCause(t *testing.T) {
	t.Parallel()
	err := nowStatement.failed(&net.OpError{Op: "read", Err: context.DeadlineExceeded})
	if !strings.Contains(err.Error(), "run statement store.now: ") {
		t.Errorf("the error is %q", err)
	}
	if usersync.CodeOf(err) != usersync.CodeUnavailable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error %q is not classified, or has lost its cause", err)
	}
	if again := Classify(err); again.Error() != err.Error() {
		t.Errorf("classified twice: %q", again)
	}
}
