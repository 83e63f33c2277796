package casetable_test

import (
	"testing"

	"usersync/internal/connector/casetable"
)

func TestATableThatIsReadIsWrittenAsItWas(t *testing.T) {
	t.Parallel()
	const table = "| case | one | two |\n|---|---|---|\n| adds | yes | – |\n| removes | no | yes |\n"
	if got := casetable.Write([]string{"adds", "removes"}, casetable.Read(table)); got != table {
		t.Errorf("got %s", got)
	}
}
