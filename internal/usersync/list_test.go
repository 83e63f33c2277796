package usersync

import (
	"encoding/json"
	"testing"
)

func TestAListIsAsLargeAsItsTextsAndChangesWithThem(t *testing.T) {
	t.Parallel()
	if n := SizeOf(map[string]any{"plans": []any{"gold", "new"}}); n != len("plansgoldnew") {
		t.Errorf("%d bytes", n)
	}
	var u User
	in := UserInput{Attributes: map[string]any{"plans": []any{"gold", "new"}}}
	u.Apply(in, 1)
	text, err := json.Marshal(u.Attributes)
	if err != nil || string(text) != `{"plans":["gold","new"]}` {
		t.Errorf("%s, %v", text, err)
	}
	if changed := u.Changes(in, 2); len(changed) != 0 {
		t.Errorf("the same list changes %v", changed)
	}
	if changed := u.Changes(UserInput{Attributes: map[string]any{"plans": []any{"new", "gold"}}}, 2); len(changed) != 1 {
		t.Errorf("another order changes %v", changed)
	}
}
