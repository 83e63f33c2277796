package seal_test

import (
	"fmt"

	"usersync/internal/seal"
	"usersync/internal/usersync"
)

// A value opens only in the place that it was sealed for, so it cannot be moved to
// another row.
func ExampleKeys_Seal() {
	keys, err := seal.ParseKeys(usersync.NewSecret(seal.NewKey()))
	if err != nil {
		fmt.Println(err)
		return
	}
	sealed, err := keys.Seal([]byte("a password"), "connections/org_1/con_1/credentials")
	if err != nil {
		fmt.Println(err)
		return
	}
	plain, err := keys.Open(sealed, "connections/org_1/con_1/credentials")
	fmt.Println(string(plain), err)

	_, err = keys.Open(sealed, "connections/org_2/con_1/credentials")
	fmt.Println(usersync.CodeOf(err))
	// Output:
	// a password <nil>
	// internal
}

// A new key goes to the front of SEALING_KEYS. Rewrap then puts a value under it, and
// the old key can be taken out.
func ExampleKeys_Rewrap() {
	oldKey, newKey := seal.NewKey(), seal.NewKey()
	before, err := seal.ParseKeys(usersync.NewSecret(oldKey))
	if err != nil {
		fmt.Println(err)
		return
	}
	during, err := seal.ParseKeys(usersync.NewSecret(newKey + "," + oldKey))
	if err != nil {
		fmt.Println(err)
		return
	}
	sealed, err := before.Seal([]byte("a password"), "place")
	if err != nil {
		fmt.Println(err)
		return
	}
	rewrapped, changed, err := during.Rewrap(sealed, "place")
	if err != nil {
		fmt.Println(err)
		return
	}
	from, _ := seal.KeyID(sealed)
	to, _ := seal.KeyID(rewrapped)
	fmt.Println(changed, from == before.FirstID(), to == during.FirstID())
	// Output:
	// true true true
}
