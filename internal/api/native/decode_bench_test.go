package native

import (
	"fmt"
	"strings"
	"testing"

	"usersync/internal/api"
)

// sentUserText is a user with what clients usually send.
const sentUserText = `{"email":"jane.doe%d@example.com","country":"DE","firstName":"Jane","lastName":"Döe",` +
	`"jobTitle":"Head of \"Growth\"","inviteLink":"https://example.com/i/%d","attributes":{"plan":"pro","seats":12,"trial":false}}`

// BenchmarkReadUser is the cost of reading the body of one user.
func BenchmarkReadUser(b *testing.B) {
	body := []byte(`{"user":` + fmt.Sprintf(sentUserText, 1, 1) + `}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := readUserBody(body); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadUsers is the cost of reading the body of a full batch, without
// what is done with its users then.
func BenchmarkReadUsers(b *testing.B) {
	users := make([]string, maxBatch)
	for i := range users {
		users[i] = fmt.Sprintf(sentUserText, i, i)
	}
	body := []byte(`{"users":[` + strings.Join(users, ",\n") + `]}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := countUsers(body); err != nil || n != maxBatch {
			b.Fatal(n, err)
		}
	}
}

func countUsers(body []byte) (n int, err error) {
	r := api.NewReader(body)
	for range r.Object() {
		for range r.Array() {
			if readUser(r).email != "" {
				n++
			}
		}
	}
	return n, r.End()
}
