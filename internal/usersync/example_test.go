package usersync_test

import (
	"errors"
	"fmt"

	"usersync/internal/request"
	"usersync/internal/usersync"
)

// An error that crosses packages has a code, a message for the caller and a cause for
// the log. An error of another kind shows nothing of itself.
func ExampleAsError() {
	err := usersync.Errorf(usersync.CodeNotFound, "API key not found").Because(errors.New("no rows"))
	wrapped := fmt.Errorf("read the key: %w", err)
	fmt.Println(usersync.AsError(wrapped).Message)
	fmt.Println(usersync.CodeOf(wrapped))
	fmt.Println(wrapped)

	foreign := usersync.AsError(errors.New("dial tcp 10.0.0.7: refused"))
	fmt.Println(foreign.Code, foreign.Message)
	// Output:
	// API key not found
	// not_found
	// read the key: not_found: API key not found: no rows
	// internal Something went wrong on our side.
}

// A code says whether trying again can help.
func ExampleCode_Retryable() {
	fmt.Println(usersync.CodeInvalid.Retryable(), usersync.CodeUnavailable.Retryable())
	// Output:
	// false true
}

// What a retry could make twice has a derived id: the same cause gives the same id.
func ExampleDeriveID() {
	request := "req_01m8kfdkqj0006a8bbptmetqb8"
	first := usersync.DeriveID(usersync.PrefixMessage, request, "colleagues.found")
	again := usersync.DeriveID(usersync.PrefixMessage, request, "colleagues.found")
	other := usersync.DeriveID(usersync.PrefixMessage, request, "user_sync.completed")
	fmt.Println(first == again, first == other)
	fmt.Println(first)
	fmt.Println(usersync.HasPrefix(first, usersync.PrefixMessage))
	// Output:
	// true false
	// msg_01m8kfdkqjtdc7nfrxwrq2j31h
	// true
}

// A secret does not print its text, nor does a struct that holds it. What people read back
// is its mask.
func ExampleSecret() {
	key := usersync.NewSecret("usk_0123456789abcdefWXYZ")
	fmt.Println(key)
	fmt.Printf("%+v\n", usersync.MaskedSecret{Secret: key})
	fmt.Println(key.Masked())
	// Output:
	// [secret]
	// [secret]
	// ••••WXYZ
}

// A field is taken unless a newer request has set it, so requests may be worked in any
// order.
func ExampleUser_Apply() {
	var u usersync.User
	u.Apply(usersync.UserInput{JobTitle: "Director"}, 2) // accepted later, worked first
	u.Apply(usersync.UserInput{JobTitle: "Manager", Country: "US"}, 1)
	fmt.Println(u.JobTitle, u.Country)
	// Output:
	// Director US
}

// The status of a request follows from its steps.
func ExampleStatusOf() {
	steps := []request.Step{{Status: request.StepSucceeded}, {Status: request.StepFailed}, {Status: request.StepSkipped}}
	fmt.Println(request.StatusOf(steps))
	steps[1].Status = request.StepRetrying
	fmt.Println(request.StatusOf(steps))
	// Output:
	// partially_succeeded
	// processing
}
