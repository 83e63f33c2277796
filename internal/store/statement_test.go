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

func TestAnInsertIsArbitratedOnlyWhenItsTransactionRunsAgain(t *testing.T) {
	st := Define("test.again", `INSERT INTO a (n) SELECT r.n FROM {rows} WHERE true {again}ON CONFLICT DO NOTHING{/again}`, Col("n", Bigint))
	t.Cleanup(func() { delete(definitions, st.Name()) })
	for _, c := range []struct {
		conn Conn
		want bool
	}{
		{Conn{Engine: Postgres, first: true}, false},
		{Conn{Engine: Postgres}, true},
		{Conn{Engine: SQLite, first: true}, true},
	} {
		text := c.conn.text(st)
		if strings.Contains(text, "ON CONFLICT") != c.want || strings.Contains(text, "again") {
			t.Errorf("on %s, for the first time %v: %s", c.conn.Engine, c.conn.first, text)
		}
	}
}
